"""Real recordings: nothing lost in silence, nobody in two splits."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nanowakeword.errors import ConfigError
from steps.recordings import Recording, load_recordings, read_recording
from steps.stage import run_stage
from tests.steps.toy import tone, workspace

COLUMNS = ["path", "source", "licence", "kind", "speaker", "seconds"]


def manifest(folder: Path, rows: list[dict[str, str]], *, columns: list[str] = COLUMNS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


def recording(
    folder: Path,
    name: str,
    *,
    kind: str = "speech",
    speaker: str = "",
    seed: int,
    seconds: float = 0.2,
    rate: int = 16_000,
) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * rate), dtype=np.int16)
    soundfile.write(folder / name, noise, rate)
    return {"path": name, "source": "here", "licence": "CC0-1.0", "kind": kind, "speaker": speaker, "seconds": "1"}


def corpus(root: Path, real: Path | None, *, split: dict[str, float] | None = None) -> tuple[list[Recording], Any]:
    changes = {"real": str(real) if real else None, "split": split or {"train": 0.0, "calibration": 0.4, "test": 0.6}}
    workspace(root, {"corpus": changes}, each=1)
    run_stage("corpus", root=root)
    out = root / "artifacts" / "corpus"
    return load_recordings(out), json.loads((out / "summary.json").read_text("utf-8"))


def test_without_a_manifest_there_are_none_and_the_summary_says_so(tmp_path: Path) -> None:
    recordings, summary = corpus(tmp_path, None)
    assert recordings == []
    assert "corpus.real is not set" in summary["note"]


def test_speakers_are_in_one_split_and_shares_hold(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    rows = [recording(folder, f"{i}.wav", seed=i, speaker=f"person {i % 20}") for i in range(60)]
    # A speaker's name counts in any case; a keyword of hers goes with her.
    rows += [
        recording(folder, f"k{i}.flac", seed=100 + i, kind="keyword:hey nano", speaker=f"Person {i}") for i in range(10)
    ]
    recordings, summary = corpus(tmp_path / "w", manifest(folder, rows))
    splits = defaultdict(set)
    for one in recordings:
        splits[one.speaker.casefold()].add(one.split)
    assert all(len(of) == 1 for of in splits.values())
    assert {one.split for one in recordings} == {"calibration", "test"}
    hours = summary["hours"]["speech"]
    assert hours["test"] / sum(hours.values()) == pytest.approx(0.6, abs=0.1)
    assert summary["recordings"] == 70
    assert summary["licences"] == {"CC0-1.0": 70}


def test_anonymous_recordings_are_split_one_by_one(tmp_path: Path) -> None:
    rows = [recording(tmp_path, f"{i}.wav", seed=i, kind="keyword:hey nano") for i in range(40)]
    recordings, _ = corpus(tmp_path / "w", manifest(tmp_path, rows))
    assert sum(one.split == "test" for one in recordings) == 24


def test_equal_recordings_do_not_straddle_splits(tmp_path: Path) -> None:
    rows = [recording(tmp_path, f"{i}.wav", seed=i // 2) for i in range(20)]
    # The same samples in another container, and by way of them two speakers.
    rows += [recording(tmp_path, "a.flac", seed=0, speaker="a"), recording(tmp_path, "b.flac", seed=50, speaker="a")]
    rows += [recording(tmp_path, "c.flac", seed=50, speaker="c"), recording(tmp_path, "d.flac", seed=60, speaker="c")]
    recordings, summary = corpus(tmp_path / "w", manifest(tmp_path, rows))
    split = {Path(one.path).name: one.split for one in recordings}
    assert all(split[f"{i}.wav"] == split[f"{i + 1}.wav"] for i in range(0, 20, 2))
    assert len({split[name] for name in ("0.wav", "1.wav", "a.flac", "b.flac", "c.flac", "d.flac")}) == 1
    assert ["0.wav", "1.wav", "a.flac"] in summary["equal_recordings"]


def test_the_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    rows = [recording(tmp_path, f"{i}.wav", seed=i) for i in range(30)]
    path = manifest(tmp_path, rows)
    first, _ = corpus(tmp_path / "a", path)
    manifest(tmp_path, rows[::-1])
    again, _ = corpus(tmp_path / "b", path)
    assert {one.path: one.split for one in first} == {one.path: one.split for one in again}
    params = tmp_path / "b" / "params.yaml"
    params.write_text(params.read_text().replace("seed: 7", "seed: 8"))
    run_stage("corpus", root=tmp_path / "b")
    other = load_recordings(tmp_path / "b" / "artifacts" / "corpus")
    assert {one.path: one.split for one in first} != {one.path: one.split for one in other}


def test_training_gets_recordings_only_if_asked(tmp_path: Path) -> None:
    rows = [recording(tmp_path, f"{i}.wav", seed=i) for i in range(10)]
    recordings, _ = corpus(
        tmp_path / "w", manifest(tmp_path, rows), split={"train": 0.5, "calibration": 0.2, "test": 0.3}
    )
    assert sum(one.split == "train" for one in recordings) == 5


def test_what_cannot_be_read_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [recording(tmp_path, f"{i}.wav", seed=i) for i in range(5)]
    (tmp_path / "0.wav").write_bytes(b"this is no audio")
    (tmp_path / "1.wav").unlink()
    soundfile.write(tmp_path / "2.wav", np.zeros(0, np.int16), 16_000)
    (tmp_path / "3.wav").write_bytes(b"")
    recordings, summary = corpus(tmp_path / "w", manifest(tmp_path, rows))
    assert [Path(one.path).name for one in recordings] == ["4.wav"]
    assert {item["path"]: item["problem"] for item in summary["left_out"]}.keys() == {f"{i}.wav" for i in range(4)}
    said = capsys.readouterr().err
    assert "left out 4 of 5" in said
    assert "1.wav (no such file)" in said
    assert "2.wav (no samples)" in said


def test_lengths_are_measured(tmp_path: Path) -> None:
    rows = [recording(tmp_path, "a.wav", seed=0, seconds=0.75, rate=44_100)]
    recordings, _ = corpus(tmp_path / "w", manifest(tmp_path, rows))
    assert recordings[0].seconds == 0.75


def test_a_manifest_beside_the_settings(tmp_path: Path) -> None:
    manifest(tmp_path / "w" / "mine", [recording(tmp_path / "w" / "mine", "a.wav", seed=0)])
    recordings, _ = corpus(tmp_path / "w", Path("mine/manifest.csv"))
    assert recordings[0].path == str(tmp_path / "w" / "mine" / "a.wav")


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([], COLUMNS[:4], "columns speaker, seconds are missing; got path, source, licence, kind; expected path"),
        ([{"path": "a.wav", "kind": "song"}], COLUMNS, "1 wrong rows; got row 2: kind 'song'; expected kinds speech"),
        ([{"path": "a.wav", "kind": "keyword:"}], COLUMNS, "row 2: kind 'keyword:'"),
        ([], COLUMNS, "lists no recording that can be read"),
        ([{"path": "a.wav", "kind": "speech"}], COLUMNS, "lists no recording that can be read"),
    ],
)
def test_wrong_manifests(tmp_path: Path, rows: list[dict[str, str]], columns: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        corpus(tmp_path / "w", manifest(tmp_path, rows, columns=columns))
    assert not list((tmp_path / "w" / "artifacts" / "corpus").glob("summary.json"))


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"corpus\.real: no file .*missing\.csv.*Give the path"):
        corpus(tmp_path / "w", tmp_path / "missing.csv")


def test_a_manifest_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00\x80 not text")
    with pytest.raises(ConfigError, match="is no CSV file"):
        corpus(tmp_path / "w", tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text(",".join(COLUMNS) + "\nonly,two\n")
    with pytest.raises(ConfigError, match="row 2: not 6 fields"):
        corpus(tmp_path / "w", tmp_path / "m.csv")


def test_recordings_are_read_at_16_khz_in_one_channel(tmp_path: Path) -> None:
    stereo = np.stack([tone(1.0), np.zeros(16_000, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", np.repeat(stereo, 3, axis=0), 48_000)
    audio = read_recording(tmp_path / "a.wav")
    assert audio.shape == (16_000,)
    assert audio.dtype == np.float32
    assert np.abs(audio[2_000:-2_000]).max() == pytest.approx(0.25, rel=0.05)
    assert len(read_recording(tmp_path / "a.wav", start_s=0.5, seconds=0.25)) == 4_000
    assert len(read_recording(tmp_path / "a.wav", start_s=9.0, seconds=0.25)) == 0
    with pytest.raises(ConfigError, match="cannot read recording"):
        read_recording(tmp_path / "b.wav")


def test_real_recordings_of_the_phrase_in_any_case() -> None:
    facts: dict[str, Any] = {"path": "a", "split": "test", "speaker": "", "source": "", "licence": "", "seconds": 1.0}
    assert Recording(kind="keyword:Hey Nano", **facts).is_of("hey  nano")
    assert not Recording(kind="keyword:hey", **facts).is_of("hey nano")
    assert not Recording(kind="speech", **facts).is_of("speech")


def test_real_data_splits_are_disjoint(real_data: Path, tmp_path: Path) -> None:
    """Keyword clips, room responses and short speech of a real corpus: speakers, duplicates, shares."""
    with (real_data / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["path"].endswith(".flac")]
    rows = [{**row, "path": str(real_data / row["path"])} for row in rows]
    shares = {"train": 0.2, "calibration": 0.3, "test": 0.5}
    recordings, summary = corpus(tmp_path / "w", manifest(tmp_path, rows), split=shares)
    assert len(recordings) == len(rows)
    assert summary["left_out"] == []
    by_speaker, by_path = defaultdict(set), {one.path: one.split for one in recordings}
    for one in recordings:
        by_speaker[one.speaker].add(one.split)
    assert all(len(splits) == 1 for speaker, splits in by_speaker.items() if speaker)
    for equal in summary["equal_recordings"]:
        assert len({by_path[path] for path in equal}) == 1
    # Clips of unnamed people are many: their shares can be held.
    hours = summary["hours"]["keyword:alexa"]
    assert {split: hours[split] / sum(hours.values()) for split in shares} == pytest.approx(shares, abs=0.05)
