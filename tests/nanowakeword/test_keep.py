from __future__ import annotations

import json
import logging
import wave
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.keep import Keeper, near_miss_threshold
from nanowakeword.recording_store import RecordingStore
from nanowakeword.results import Detection

HOP = 1_280
NOW = datetime(2026, 11, 5, 12, 0, 0, 123_000, tzinfo=UTC)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "misses.jsonl").read_text("utf-8").splitlines()]


def samples(path: Path) -> Samples:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def wavs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.wav"))


def detection(end_s: float, *, score: float = 0.9, model: str = "beep") -> Detection:
    return Detection(phrase=model, score=score, start_s=end_s - 0.08, end_s=end_s, model=model)


def watch(keeper: Keeper, scores: Sequence[float], detections: dict[int, Detection] | None = None) -> None:
    """Feed hops whose samples tell their number."""
    for hop, score in enumerate(scores):
        heard = (detections or {}).get(hop)
        chunk = np.full(HOP, hop, np.int16)
        keeper.feed(chunk, {"beep": score}, (heard,) if heard else ())
        chunk[:] = -1  # the caller may fill the same array again


def curve(hops: int, **peaks: float) -> list[float]:
    """Scores of 0 but for some hops: ``curve(50, h10=0.5)``."""
    scores = [0.0] * hops
    for name, score in peaks.items():
        scores[int(name[1:])] = score
    return scores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def keeper(folder: Path) -> Keeper:
    return Keeper(RecordingStore(folder), thresholds={"beep": 0.75})


@pytest.mark.parametrize(("threshold", "near"), [(0.5, 1 / 11), (0.75, 0.2308), (0.95, 0.6552), (0.99, 0.9083)])
def test_near_is_a_tenth_of_the_odds(threshold: float, near: float) -> None:
    assert near_miss_threshold(threshold) == pytest.approx(near, abs=1e-4)


@given(threshold=st.floats(1e-6, 1.0))
def test_near_is_below_the_threshold(threshold: float) -> None:
    assert 0.0 < near_miss_threshold(threshold) < threshold


def test_a_detection_is_kept_with_two_seconds_before_and_one_after(keeper: Keeper, folder: Path) -> None:
    watch(keeper, curve(80, h39=0.9), {39: detection(3.2)})
    (row,) = rows(folder)
    assert row["kind"] == "detection"
    assert (row["model"], row["score"], row["threshold"]) == ("beep", 0.9, 0.75)
    assert wavs(folder) == [row["file"]]
    audio = samples(folder / row["file"])
    assert len(audio) == 48_000
    assert audio[0] == 15  # 3.2 - 2.0 s
    assert audio[-1] == 52  # 3.2 + 1.0 s: in the hop from 4.16 s
    assert abs(datetime.fromisoformat(row["time"]).timestamp() - datetime.now(UTC).timestamp()) < 10


def test_a_near_miss_is_kept_once_per_peak(keeper: Keeper, folder: Path) -> None:
    scores = curve(120, h30=0.3, h31=0.6, h32=0.4, h80=0.5)
    watch(keeper, scores)
    assert [(row["kind"], row["score"]) for row in rows(folder)] == [("near_miss", 0.6), ("near_miss", 0.5)]
    audio = samples(folder / rows(folder)[0]["file"])
    assert (audio[0], audio[-1]) == (7, 44)  # from 2.56 s - 2 s to 3.56 s


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        (curve(60, h30=0.22), []),  # too low
        (curve(60, h30=0.76), []),  # it reached the threshold and was held back: no miss
        (curve(60, h30=0.3, h35=0.5, h38=0.4), [0.5]),  # within a second: one
        ([0.4] * 200, [0.4]),  # a plateau
        ([0.0] * 30 + list(np.linspace(0.25, 0.74, 60)) + [0.0] * 30, [0.74]),  # a slow rise
    ],
)
def test_what_is_a_near_miss(keeper: Keeper, folder: Path, scores: list[float], kept: list[float]) -> None:
    watch(keeper, scores)
    keeper.end()
    assert [row["score"] for row in rows(folder)] == pytest.approx(kept)


def test_peaks_around_a_detection_are_the_same_utterance(keeper: Keeper, folder: Path) -> None:
    watch(keeper, curve(80, h30=0.4, h36=0.6, h37=0.9, h38=0.5, h44=0.5, h60=0.3), {37: detection(3.04)})
    assert [(row["kind"], row["score"]) for row in rows(folder)] == [("detection", 0.9), ("near_miss", 0.3)]


def test_a_threshold_of_its_own_and_models_apart(folder: Path) -> None:
    keeper = Keeper(RecordingStore(folder), thresholds={"a": 0.9, "b": 0.9}, near_miss=0.5)
    for hop in range(60):
        scores = {"a": 0.6 if hop == 30 else 0.0, "b": 0.45 if hop == 30 else 0.0, "gate": 0.7}
        keeper.feed(np.zeros(HOP, np.int16), scores)
    assert [row["model"] for row in rows(folder)] == ["a"]
    with pytest.raises(ConfigError, match="near-miss"):
        Keeper(RecordingStore(folder), thresholds={"a": 0.9}, near_miss=0.0)


def test_a_detection_that_is_known_late_is_cut_where_it_was(keeper: Keeper, folder: Path) -> None:
    watch(keeper, curve(120), {100: detection(5.0)})  # told at 8.08 s
    audio = samples(folder / rows(folder)[0]["file"])
    assert len(audio) == 48_000
    assert audio[0] == 37  # 3.0 s


def test_the_end_and_a_gap_keep_what_there_is(keeper: Keeper, folder: Path) -> None:
    watch(keeper, curve(10, h9=0.5))
    assert not wavs(folder)
    keeper.end()
    audio = samples(folder / rows(folder)[0]["file"])
    assert len(audio) == 10 * HOP
    watch(keeper, curve(20, h3=0.6))
    keeper.end()
    audio = samples(folder / rows(folder)[1]["file"])
    assert audio[0] == 0  # nothing of before the gap
    assert len(audio) == 4 * HOP + 16_000


def test_memory_is_bounded(keeper: Keeper) -> None:
    watch(keeper, curve(1_000))
    assert keeper._ring_samples <= 9 * 16_000


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.sampled_from([0.0, 0.1, 0.24, 0.3, 0.5, 0.74, 0.8]), max_size=150))
def test_whatever_the_scores_recordings_are_apart_and_in_range(
    scores: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keeper = Keeper(RecordingStore(folder), thresholds={"beep": 0.75})
    watch(keeper, scores)
    keeper.end()
    kept = rows(folder)
    assert all(0.2308 <= row["score"] < 0.75 for row in kept)
    assert len(kept) <= len(scores) * 0.08 / 1.0 + 1
    if any(0.2308 <= score < 0.75 for score in scores) and max(scores) < 0.75:
        assert kept
        assert max(row["score"] for row in kept) == max(scores)


def save(store: RecordingStore, *, at: datetime = NOW, model: str = "beep", seconds: float = 3.0) -> Path:
    audio = np.arange(round(seconds * 16_000)).astype(np.int16)
    return store.save(audio, at=at, model=model, score=0.5, threshold=0.75, kind="near_miss")


def test_a_recording_and_its_line(folder: Path) -> None:
    path = save(RecordingStore(folder), at=NOW.astimezone(timezone(timedelta(hours=5))))
    assert path == folder / "20261105T120000.123Z_beep_near_miss.wav"
    np.testing.assert_array_equal(samples(path), np.arange(48_000).astype(np.int16))
    assert rows(folder) == [
        {
            "file": path.name,
            "time": "2026-11-05T12:00:00.123+00:00",
            "model": "beep",
            "score": 0.5,
            "threshold": 0.75,
            "kind": "near_miss",
        }
    ]
    assert not [item for item in folder.iterdir() if item.name.endswith(".part")]


def test_names_are_safe_and_never_taken_twice(folder: Path) -> None:
    store = RecordingStore(folder)
    names = {save(store, model="../../etc/ok\x00 höuse" * 20).name for _ in range(3)}
    assert len(names) == 3
    assert all((folder / name).is_file() for name in names)
    assert not any("/" in name or len(name) > 150 for name in names)


def test_the_oldest_are_removed_first_and_nothing_else(folder: Path) -> None:
    folder.mkdir()
    (folder / "my own.wav").write_bytes(bytes(10**6))
    store = RecordingStore(folder, max_mb=1.0)  # ten recordings of 96 kB
    paths = [save(store, at=NOW + timedelta(seconds=number)) for number in range(25)]
    kept = [path for path in paths if path.exists()]
    assert kept == paths[-len(kept) :]
    assert 8 <= len(kept) <= 10
    assert [row["file"] for row in rows(folder)] == [path.name for path in kept]
    assert (folder / "my own.wav").exists()


def test_a_folder_is_taken_up_again(folder: Path) -> None:
    first = [save(RecordingStore(folder, max_mb=1.0), at=NOW + timedelta(seconds=number)) for number in range(5)]
    first[2].unlink()  # by the user
    with (folder / "misses.jsonl").open("a") as file:
        file.write('{"file": "../victim.wav"}\n["x"]\n{"file": 5}\n{"file": "my own.wav", "mod')
    victim = folder.parent / "victim.wav"
    victim.write_bytes(b"")
    store = RecordingStore(folder, max_mb=0.4)
    save(store, at=NOW + timedelta(seconds=9))
    assert wavs(folder) == [row["file"] for row in rows(folder)]
    assert victim.exists()
    assert len(rows(folder)) == 3  # 0.29 MB


def test_one_recording_is_kept_even_where_it_is_too_large(folder: Path) -> None:
    store = RecordingStore(folder, max_mb=0.01)
    save(store)
    last = save(store)
    assert wavs(folder) == [last.name]


def test_settings_and_folders_that_cannot_be(tmp_path: Path) -> None:
    for size in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="size"):
            RecordingStore(tmp_path, max_mb=size)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot keep recordings"):
        RecordingStore(tmp_path / "file" / "below")


def break_folder(folder: Path) -> None:
    """Make it unwritable, for root too."""
    folder.rename(folder.with_name("elsewhere"))
    folder.write_bytes(b"")


def repair_folder(folder: Path) -> None:
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)


def test_a_disk_that_refuses_is_told_once_and_again_when_it_worked_in_between(folder: Path) -> None:
    problems: list[StorageError] = []
    kept: list[str] = []
    keeper = Keeper(
        RecordingStore(folder),
        thresholds={"beep": 0.75},
        on_problem=problems.append,
        on_kept=lambda kind, model, score, path: kept.append(f"{kind} {model} {score} {path.parent.name}"),
    )
    peak = curve(40, h5=0.5)
    for works, problems_then, kept_then in ((False, 1, 0), (False, 1, 0), (True, 1, 1), (False, 2, 1)):
        if works:
            repair_folder(folder)
        elif folder.is_dir():
            break_folder(folder)
        watch(keeper, peak)
        assert (len(problems), len(kept)) == (problems_then, kept_then)
    assert kept == ["near_miss beep 0.5 kept"]
    assert str(folder) in str(problems[0])


def test_without_a_function_the_log_tells(keeper: Keeper, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    break_folder(folder)
    with caplog.at_level(logging.WARNING):
        watch(keeper, curve(80, h5=0.5, h40=0.5))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("cannot keep recordings")
