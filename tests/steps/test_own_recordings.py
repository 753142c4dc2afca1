"""The owner's folders: every format, nothing lost in silence, nothing tested that was trained on, nothing changed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.errors import ConfigError
from nanowakeword.evaluation.recordings import Recording as Measured
from nanowakeword.recording_store import RecordingStore
from nanowakeword.takes import TakeFolder
from steps.commands.check import run as check
from steps.listing import Listed, Rule
from steps.pipeline import pipeline_text
from steps.recordings import Recording, load_recordings, read_recording
from steps.settings import load_settings
from steps.splits import Sound, assign_splits
from steps.stage import run_stage
from tests.steps.toy import workspace

SHARES = {
    "real": {"train": 0.0, "calibration": 0.4, "test": 0.6},
    "own": {"train": 0.6, "calibration": 0.1, "test": 0.3},
}


def sound(path: Path, *, seed: int = 0, seconds: float = 0.2, rate: int = 16_000, **form: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9_000, 9_000, round(seconds * rate), dtype=np.int16)
    soundfile.write(path, noise, rate, **form)
    return path


def corpus(root: Path, **folders: Any) -> tuple[list[Recording], dict[str, Any]]:
    workspace(root, {"corpus": {name: str(path) if isinstance(path, Path) else path for name, path in folders.items()}})
    run_stage("corpus", root=root)
    out = root / "artifacts" / "corpus"
    return load_recordings(out), json.loads((out / "summary.json").read_text("utf-8"))


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def stereo(seconds: float, rate: int) -> npt.NDArray[np.float32]:
    """A tone of 1 kHz in the first channel, nothing in the second."""
    time = np.arange(round(seconds * rate)) / rate
    left = 0.5 * np.sin(2.0 * np.pi * 1_000.0 * time)
    return np.stack([left, np.zeros_like(left)], axis=1).astype(np.float32)


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "rate", "form"),
        [
            ("a.wav", 8_000, {"subtype": "PCM_U8"}),
            ("a.wav", 96_000, {"subtype": "DOUBLE"}),
            ("a.WAV", 22_050, {"subtype": "FLOAT"}),
            ("a.flac", 44_100, {"subtype": "PCM_24"}),
            ("a.ogg", 32_000, {"format": "OGG", "subtype": "VORBIS"}),
            ("a.opus", 48_000, {"format": "OGG", "subtype": "OPUS"}),
            ("a.mp3", 44_100, {"format": "MP3", "subtype": "MPEG_LAYER_III"}),
            ("a.aiff", 48_000, {"subtype": "PCM_16"}),
            ("a.aif", 11_025, {"format": "AIFF", "subtype": "PCM_16"}),
        ],
    )
    def test_every_format_rate_and_channel_count(
        self, name: str, rate: int, form: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / "mine" / name
        path.parent.mkdir()
        soundfile.write(path, stereo(1.0, rate), rate, **form)
        before = fingerprint(path.parent)
        (recording,), summary = corpus(tmp_path / "w", negative_data_path=path.parent)
        assert summary["left_out"] == []
        assert recording.seconds == pytest.approx(1.0, abs=0.06)
        self.check_sound(recording)
        assert fingerprint(path.parent) == before

    @pytest.mark.parametrize(("width_bytes", "subtype"), [(1, "PCM_U8"), (2, "PCM_16"), (3, "PCM_24"), (4, "PCM_32")])
    @pytest.mark.parametrize("suffix", [".raw", ".PCM"])
    def test_files_without_a_header(self, width_bytes: int, subtype: str, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / "mine" / f"a{suffix}"
        path.parent.mkdir()
        soundfile.write(path, stereo(0.5, 48_000), 48_000, format="RAW", subtype=subtype, endian="LITTLE")
        before = fingerprint(path.parent)
        raw = {"rate_hz": 48_000, "width_bytes": width_bytes, "channels": 2}
        (recording,), _ = corpus(tmp_path / "w", negative_data_path=path.parent, raw=raw)
        assert recording.seconds == 0.5
        self.check_sound(recording)
        assert fingerprint(path.parent) == before
        # The copy is in the stage's folder and moves with it.
        (tmp_path / "w" / "artifacts" / "corpus").rename(tmp_path / "moved")
        (moved,) = load_recordings(tmp_path / "moved")
        self.check_sound(moved)

    def check_sound(self, recording: Recording) -> None:
        audio = read_recording(recording.path)
        middle = audio[len(audio) // 4 : 3 * len(audio) // 4]
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.25 / np.sqrt(2.0), rel=0.1)
        spectrum = np.abs(np.fft.rfft(middle))
        assert spectrum.argmax() * 16_000 / len(middle) == pytest.approx(1_000.0, abs=5.0)
        # What evaluation reads is the same.
        measured = Measured.of_file(Path(recording.path)).read()
        assert len(measured) == pytest.approx(len(audio), abs=2)

    def test_two_channels_in_a_file_that_was_said_to_have_one(self, tmp_path: Path) -> None:
        path = sound(tmp_path / "mine" / "a.wav").parent / "b.raw"
        path.write_bytes(b"\0" * 1_001)
        recordings, summary = corpus(tmp_path / "w", negative_data_path=path.parent)
        assert len(recordings) == 1
        assert "no whole number of samples of 2 bytes in 1 channels" in summary["left_out"][0]["problem"]

    def test_what_cannot_be_read_is_named_and_the_rest_counted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "mine"
        good = sound(folder / "deep" / "down" / "good.wav")
        (folder / "broken.flac").write_bytes(b"fLaC and no more")
        (folder / "short.wav").write_bytes(good.read_bytes()[:2_000])
        soundfile.write(folder / "nan.wav", np.full(400, np.nan, np.float32), 16_000, subtype="FLOAT")
        (folder / "phone.m4a").write_bytes(b"an iPhone made this")
        for name in ("notes.txt", "more.TXT", "README", ".hidden.wav"):
            (folder / name).write_text("nothing to hear")
        recordings, summary = corpus(tmp_path / "w", negative_data_path=folder)
        assert [Path(one.path) for one in recordings] == [good]
        left_out = {Path(item["path"]).name: item["problem"] for item in summary["left_out"]}
        assert left_out.keys() == {"broken.flac", "short.wav", "nan.wav", "phone.m4a"}
        assert left_out["short.wav"].startswith("cut short: ")
        assert left_out["nan.wav"] == "samples that are not numbers"
        assert "convert it" in left_out["phone.m4a"]
        assert summary["other_files"] == {".txt": 2, "README": 1}
        assert "left out 4 of 5 recordings" in capsys.readouterr().err


class TestFolders:
    def test_each_folder_has_its_kind_and_its_splits(self, tmp_path: Path) -> None:
        folders = {
            "positive_data_path": "keyword:hey nano",
            "negative_data_path": "speech",
            "background_paths": "noise",
            "rir_paths": "rir",
        }
        for number, name in enumerate(folders):
            for i in range(10):
                sound(tmp_path / name / f"{i}.wav", seed=100 * number + i)
        recordings, summary = corpus(tmp_path / "w", **{name: tmp_path / name for name in folders})
        for name, kind in folders.items():
            of = Counter(one.split for one in recordings if one.kind == kind)
            assert of == (
                {"train": 10}
                if name in {"background_paths", "rir_paths"}
                else {"train": 6, "calibration": 1, "test": 3}
            )
        assert summary["own_recordings_of_the_phrase"] == {"train": 6, "calibration": 1, "test": 3}
        assert {one.licence for one in recordings} == {"not stated"}
        assert {one.source for one in recordings} == {f"the owner's folder {name}" for name in folders}

    def test_lists_of_folders_and_a_manifest_beside_them(self, tmp_path: Path) -> None:
        sound(tmp_path / "w" / "a" / "1.wav", seed=1)
        sound(tmp_path / "w" / "b" / "2.wav", seed=2)
        sound(tmp_path / "real" / "3.wav", seed=3)
        (tmp_path / "real" / "m.csv").write_text(
            "path,source,licence,kind,speaker,seconds\n3.wav,there,CC-BY-4.0,speech,,1\n"
        )
        recordings, summary = corpus(tmp_path / "w", background_paths=["a", "b"], real=tmp_path / "real" / "m.csv")
        assert [(Path(one.path).name, one.kind) for one in recordings] == [
            ("3.wav", "speech"),
            ("1.wav", "noise"),
            ("2.wav", "noise"),
        ]
        assert summary["licences"] == {"CC-BY-4.0": 1, "not stated": 2}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"rir_paths": "nowhere"}, r"corpus\.rir_paths; got no folder nowhere; expected a folder"),
            ({"negative_data_path": "a/1.wav"}, r"corpus\.negative_data_path; got a file, a/1.wav"),
            (
                {"background_paths": "empty"},
                r"corpus\.background_paths: no recordings in empty; expected files ending in",
            ),
            (
                {"positive_data_path": "a", "negative_data_path": "a"},
                r"1 recordings are in two places.*a/1.wav and a/1.wav",
            ),
            ({"positive_data_path": "a", "negative_data_path": "."}, "1 recordings are in two places"),
        ],
    )
    def test_wrong_folders(self, changes: dict[str, str], message: str, tmp_path: Path) -> None:
        sound(tmp_path / "w" / "a" / "1.wav")
        (tmp_path / "w" / "empty").mkdir()
        with pytest.raises(ConfigError, match=message):
            corpus(tmp_path / "w", **changes)
        if "two places" not in message:
            with pytest.raises(ConfigError, match=message):
                check(type("Options", (), {"workspace": tmp_path / "w"})())

    def test_dvc_sees_what_changes_in_them(self, tmp_path: Path) -> None:
        paths = {
            "real": ["a.csv", "b.csv"],
            "positive_data_path": "me",
            "rir_paths": ["r 1", "r2"],
            "misses_path": "kept",
        }
        workspace(tmp_path, {"corpus": paths})
        text = pipeline_text(load_settings(tmp_path / "params.yaml"))
        deps = text.split("  corpus:\n")[1].split("    params:")[0]
        for dependency in ("a.csv", "b.csv", "me", '"r 1"', "r2", "kept"):
            assert f"      - {dependency}\n" in deps

    @pytest.mark.parametrize("value", [3, True, [""], ["a", 2], {"a": 1}])
    def test_wrong_settings(self, value: object, tmp_path: Path) -> None:
        workspace(tmp_path, {"corpus": {"positive_data_path": value}})
        with pytest.raises(
            ConfigError, match=r"corpus\.positive_data_path: got .*expected a path, a list of paths, or null"
        ):
            load_settings(tmp_path / "params.yaml")


class TestSplits:
    def test_sub_folders_are_speakers(self, tmp_path: Path) -> None:
        for i in range(24):
            sound(tmp_path / "mine" / f"person {i % 6}" / "deep" / f"{i}.wav", seed=i)
        recordings, summary = corpus(tmp_path / "w", positive_data_path=tmp_path / "mine")
        splits = {
            one.speaker: {other.split for other in recordings if other.speaker == one.speaker} for one in recordings
        }
        assert sorted(splits) == [f"person {i}" for i in range(6)]
        assert all(len(of) == 1 for of in splits.values())
        # A tenth of six speakers is none.
        assert Counter(one.split for one in recordings) == {"train": 16, "test": 8}
        assert not [warning for warning in summary["warnings"] if "same people" in warning]

    def test_two_speakers_are_not_enough_for_three_splits(self, tmp_path: Path) -> None:
        for i in range(20):
            sound(tmp_path / "mine" / f"person {i % 2}" / f"{i}.wav", seed=i)
        recordings, summary = corpus(tmp_path / "w", positive_data_path=tmp_path / "mine")
        assert Counter(one.split for one in recordings) == {"train": 12, "calibration": 2, "test": 6}
        assert "does not tell about strangers" in " ".join(summary["warnings"])

    @pytest.mark.parametrize(
        ("number", "left"),
        [(1, {"train": 1}), (2, {"train": 1, "test": 1}), (5, {"train": 3, "calibration": 1, "test": 1})],
    )
    def test_few_recordings(
        self, number: int, left: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for i in range(number):
            sound(tmp_path / "mine" / f"{i}.wav", seed=i)
        recordings, summary = corpus(tmp_path / "w", positive_data_path=tmp_path / "mine")
        assert Counter(one.split for one in recordings) == left
        told = summary["warnings"][0]
        if "test" in left:
            assert f"Of your {number} recordings of the phrase {left['train']} are trained on and 1 are left" in told
        else:
            assert told == "None of your 1 recordings of the phrase is left to test on; record more."
        assert told in capsys.readouterr().err

    def test_takes_are_where_their_index_says(self, tmp_path: Path) -> None:
        folder = tmp_path / "mine" / "anna"
        now = datetime(2026, 5, 4, tzinfo=UTC)
        takes = TakeFolder(folder, phrase="hey nano", now=now)
        for i in range(10):
            noise = np.random.default_rng(i).integers(-9_000, 9_000, 4_000, dtype=np.int16)
            takes.add(
                noise, at=now + timedelta(seconds=i), device="desk", seconds=1.0, level_dbfs=0.0, background_dbfs=0.0
            )
        other = TakeFolder(folder, phrase="ok house", now=now)
        other.add(
            np.ones(4_000, np.int16),
            at=now + timedelta(hours=1),
            device="d",
            seconds=1.0,
            level_dbfs=0.0,
            background_dbfs=0.0,
        )
        recordings, summary = corpus(tmp_path / "w", positive_data_path=tmp_path / "mine")
        assert {Path(one.path).name: one.split for one in recordings if one.is_of("hey nano")} == {
            take.file: take.split for take in takes.takes
        }
        assert [one.kind for one in recordings if not one.is_of("hey nano")] == ["keyword:ok house"]
        assert summary["other_files"] == {}
        told = " ".join(summary["warnings"])
        assert "1 takes in corpus.positive_data_path are of 'ok house', not of 'hey nano'" in told
        assert "of the same sitting" in told

    def test_a_copy_of_a_training_take_is_not_tested(self, tmp_path: Path) -> None:
        """Not even in another format, under another name, in another folder."""
        for i in range(12):
            sound(tmp_path / "mine" / f"{i}.wav", seed=i)
        recordings, _ = corpus(tmp_path / "w", positive_data_path=tmp_path / "mine")
        trained = [Path(one.path) for one in recordings if one.split == "train"]
        lines = ["path,source,licence,kind,speaker,seconds"]
        for path in trained:
            audio, rate = soundfile.read(path, dtype="int16")
            copy = tmp_path / "real" / path.with_suffix(".flac").name
            copy.parent.mkdir(exist_ok=True)
            soundfile.write(copy, audio, rate)
            lines.append(f"{copy.name},here,MIT,keyword:hey nano,,1")
        (tmp_path / "real" / "m.csv").write_text("\n".join(lines))
        recordings, _ = corpus(tmp_path / "w2", positive_data_path=tmp_path / "mine", real=tmp_path / "real" / "m.csv")
        split = {Path(one.path).name: one.split for one in recordings}
        assert all(split[path.name] == split[path.with_suffix(".flac").name] for path in trained)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_no_group_and_no_sound_is_torn(self, data: st.DataObject) -> None:
        rules: list[Rule] = ["real", "own", "train"]
        sounds = [
            Sound(
                listed=Listed(
                    path=Path(str(i)),
                    name=str(i),
                    kind=data.draw(st.sampled_from(["speech", "noise"])),
                    rule=data.draw(st.sampled_from(rules)),
                    group=data.draw(st.sampled_from(["", "speaker a", "speaker b"])),
                    speaker="",
                    source="",
                    licence="",
                    split=data.draw(st.sampled_from([None, None, "train", "test"])),
                ),
                seconds=data.draw(st.floats(0.1, 100.0)),
                digest=f"{data.draw(st.integers(0, 8)):04d}",
            )
            for i in range(data.draw(st.integers(1, 14)))
        ]
        splits = assign_splits(sounds, shares=SHARES, seed=7)  # type: ignore[arg-type]
        by: dict[str, set[str]] = {}
        for one, split in zip(sounds, splits, strict=True):
            for key in {one.digest, one.listed.group} - {""}:
                by.setdefault(key, set()).add(split)
            if one.listed.rule == "train":
                assert split == "train"
        assert all(len(of) == 1 for of in by.values())
        order = data.draw(st.permutations(range(len(sounds))))
        again = assign_splits([sounds[i] for i in order], shares=SHARES, seed=7)  # type: ignore[arg-type]
        assert [again[order.index(i)] for i in range(len(sounds))] == splits


class TestMisses:
    @pytest.fixture
    def kept(self, tmp_path: Path) -> Path:
        """What `listen --record-misses` leaves behind."""
        store = RecordingStore(tmp_path / "kept")
        for i in range(6):
            noise = np.random.default_rng(i).integers(-9_000, 9_000, 4_000, dtype=np.int16)
            store.save(
                noise,
                at=datetime(2026, 5, 4, 9, i, tzinfo=UTC),
                model="hey_nano",
                score=0.5,
                threshold=0.6,
                kind="near_miss" if i % 2 else "detection",
            )
        return tmp_path / "kept"

    def test_nobody_listened(self, kept: Path, tmp_path: Path) -> None:
        noise = sound(tmp_path / "noise" / "a.wav", seed=99).parent
        recordings, summary = corpus(tmp_path / "w", misses_path=kept, background_paths=noise)
        assert [one.kind for one in recordings] == ["noise"]
        assert "6 recordings in corpus.misses_path are not used" in summary["warnings"][0]
        assert summary["other_files"] == {}

    def test_nobody_listened_and_there_is_nothing_else(self, kept: Path, tmp_path: Path) -> None:
        recordings, summary = corpus(tmp_path / "w", misses_path=kept)
        assert recordings == []
        assert "put each into the sub-folder yes" in summary["warnings"][0]

    def test_what_a_person_sorted_is_trained_on_and_never_tested(self, kept: Path, tmp_path: Path) -> None:
        files = sorted(kept.glob("*.wav"))
        for name, some in (("yes", files[:2]), ("No", files[2:5]), ("maybe", files[5:])):
            (kept / name).mkdir()
            for file in some:
                file.rename(kept / name / file.name)
        recordings, summary = corpus(tmp_path / "w", misses_path=kept)
        assert Counter((one.kind, one.split) for one in recordings) == {
            ("keyword:hey nano", "train"): 2,
            ("speech", "train"): 3,
        }
        assert "1 recordings in corpus.misses_path are not used" in summary["warnings"][0]
        # The store goes on in the same folder and does not touch what was sorted.
        before = fingerprint(kept / "yes")
        store = RecordingStore(kept, max_mb=0.001)
        for i in range(3):
            at = datetime(2026, 5, 5, 9, i, tzinfo=UTC)
            store.save(np.ones(4_000, np.int16), at=at, model="m", score=0.5, threshold=0.6, kind="detection")
        assert fingerprint(kept / "yes") == before


def test_contradictions_are_named(tmp_path: Path) -> None:
    sound(tmp_path / "yes" / "a.wav", seed=1)
    sound(tmp_path / "no" / "b.flac", seed=1)
    _, summary = corpus(tmp_path / "w", positive_data_path=tmp_path / "yes", negative_data_path=tmp_path / "no")
    assert "1 recordings are listed as two kinds" in " ".join(summary["warnings"])
    assert [[Path(name).name for name in names] for names in summary["equal_recordings"]] == [["b.flac", "a.wav"]]
    # What is told in a card holds no path of anybody's.
    assert str(tmp_path) not in " ".join(summary["warnings"])


def test_the_same_bytes_whatever_the_order_of_reading(tmp_path: Path) -> None:
    for i in range(8):
        sound(tmp_path / "mine" / f"{i}.wav", seed=i)
    texts = []
    for name in ("a", "b"):
        corpus(tmp_path / name, positive_data_path=tmp_path / "mine")
        out = tmp_path / name / "artifacts" / "corpus"
        texts.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert texts[0] == texts[1]
