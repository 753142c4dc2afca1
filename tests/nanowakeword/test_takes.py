"""Takes: what is written about them, who gets which, and nothing lost."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.audio import read_audio
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.takes import INDEX, TakeFolder, read_takes
from tests.tiny_model import tone

MORNING = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
MEASURED = {"seconds": 0.88, "level_dbfs": -21.234, "background_dbfs": -61.0}


def sit_down(folder: Path, *, now: datetime = MORNING, takes: int = 0, phrase: str = "hey nano") -> TakeFolder:
    """A sitting, with takes a minute apart."""
    opened = TakeFolder(folder, phrase=phrase, now=now)
    for number in range(takes):
        opened.add(tone(0.1), at=now + timedelta(minutes=number), device="desk", **MEASURED)
    return opened


def test_a_take_is_written_with_what_is_known_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "hey_nano"
    take = sit_down(folder).add(tone(0.5), at=MORNING, device="désk", **MEASURED)
    assert take.file == "hey_nano_20260504T090000.000Z.wav"
    assert np.array_equal(read_audio(folder / take.file), tone(0.5))
    assert json.loads((folder / INDEX).read_text("utf-8")) == {
        "file": take.file,
        "phrase": "hey nano",
        "split": "train",
        "session": "2026-05-04T09:00:00+00:00",
        "time": "2026-05-04T09:00:00.000+00:00",
        "device": "désk",
        "seconds": 0.88,
        "level_dbfs": -21.23,
        "background_dbfs": -61.0,
    }
    assert read_takes(folder) == [take]
    assert sorted(path.name for path in folder.iterdir()) == [take.file, INDEX]


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "test": 1}),
        (5, {"train": 3, "calibration": 1, "test": 1}),
        (10, {"train": 6, "calibration": 1, "test": 3}),
        (30, {"train": 18, "calibration": 3, "test": 9}),
    ],
)
def test_takes_of_one_sitting_are_shared_out(takes: int, expected: dict[str, int], tmp_path: Path) -> None:
    counted = sit_down(tmp_path, takes=takes).count()
    assert {split: count for split, count in counted.items() if count} == expected


def test_a_later_sitting_has_one_split_and_the_third_is_for_the_test(tmp_path: Path) -> None:
    for day in range(3):
        sit_down(tmp_path, now=MORNING + timedelta(days=day), takes=10)
    sessions = {take.session: Counter[str]() for take in read_takes(tmp_path)}
    for take in read_takes(tmp_path):
        sessions[take.session][take.split] += 1
    assert [dict(counted) for counted in sessions.values()] == [
        {"train": 6, "test": 3, "calibration": 1},
        {"train": 10},
        {"test": 10},
    ]


@pytest.mark.parametrize(("minutes", "same"), [(0, True), (29, True), (31, False), (60 * 24, False)])
def test_who_comes_back_soon_still_sits_there(minutes: int, same: bool, tmp_path: Path) -> None:
    first = sit_down(tmp_path, takes=1).session
    again = sit_down(tmp_path, now=MORNING + timedelta(minutes=minutes))
    assert (again.session == first) == same


def test_what_a_person_changed_is_kept(tmp_path: Path) -> None:
    sit_down(tmp_path, takes=3)
    index = tmp_path / INDEX
    index.write_text(index.read_text().replace('"split": "train"', '"split": "test"'))
    bad = read_takes(tmp_path)[1]
    (tmp_path / bad.file).unlink()
    again = sit_down(tmp_path, now=MORNING + timedelta(minutes=10), takes=1)
    assert [take.split for take in again.takes] == ["test", "test", "train"]
    assert bad.file not in index.read_text()


def test_several_phrases_in_a_folder(tmp_path: Path) -> None:
    sit_down(tmp_path, takes=2)
    other = sit_down(tmp_path, now=MORNING + timedelta(minutes=5), takes=1, phrase="ok house")
    assert [take.phrase for take in other.takes] == ["ok house"]
    assert len(sit_down(tmp_path, phrase="Hey  Nano").takes) == 2
    assert len(read_takes(tmp_path)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{", "["), "line 2 is no take"),
        (('"split": "test"', '"split": "tset"'), "line 2: split; got 'tset'; expected train, calibration, test"),
        (('"session"', '"sitting"'), "line 2 is no take"),
        (("hey_nano_2026", "../hey_nano_2026"), "line 2: file; got '../hey_nano"),
        (("2026-05-04T09:01", "yesterday"), "line 2: time; got 'yesterday"),
    ],
)
def test_a_damaged_index_is_refused_and_kept(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    sit_down(tmp_path, takes=2)
    first, second = (tmp_path / INDEX).read_text().splitlines()
    damaged = f"{first}\n{second.replace(*change)}\n"
    (tmp_path / INDEX).write_text(damaged)
    with pytest.raises(ConfigError) as refused:
        sit_down(tmp_path)
    assert message in str(refused.value)
    assert (tmp_path / INDEX).read_text() == damaged


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    takes = sit_down(tmp_path, takes=1)
    (tmp_path / INDEX).rename(tmp_path / "aside")
    (tmp_path / INDEX).mkdir()
    with pytest.raises(StorageError, match="cannot keep recordings"):
        takes.add(tone(0.1), at=MORNING + timedelta(minutes=1), device="desk", **MEASURED)
    assert len(takes.takes) == 1
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot keep recordings"):
        sit_down(tmp_path / "file" / "below")
