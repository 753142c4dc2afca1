"""What a watcher of a stage reads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from steps.progress import PROGRESS_FILE_VARIABLE, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("steps.progress.time", clock)
    return clock


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.jsonl"
    monkeypatch.setenv(PROGRESS_FILE_VARIABLE, str(path))
    return path


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_file_gets_one_object_per_report(file: Path, clock: Clock) -> None:
    progress = Progress("train")
    clock.now_s += 2.5
    progress.update(300, 600, unit="steps", note="loss 0.1")
    progress.say("no flite here: ü")
    assert entries(file) == [
        {"stage": "train", "done": 300, "total": 600, "unit": "steps", "note": "loss 0.1", "seconds": 2.5},
        {"stage": "train", "done": 0, "total": 0, "unit": "", "note": "no flite here: ü", "seconds": 2.5},
    ]


def test_without_the_variable_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRESS_FILE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    Progress("train").update(1, 1, unit="steps")
    assert list(tmp_path.iterdir()) == []


def test_a_log_gets_a_line_every_ten_seconds_and_the_last_one(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("train")
    for step in range(101):
        progress.update(step, 100, unit="steps")
        clock.now_s += 0.25
    shown = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert shown == ["0/100", "40/100", "80/100", "100/100"]


def test_speed_and_time_left_count_this_run_only(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("train")
    progress.update(400, 600, unit="steps")  # where a run that was interrupted had come to
    clock.now_s += 10.0
    progress.update(500, 600, unit="steps")
    clock.now_s += 10.0
    progress.update(50, 600, unit="steps")  # the next head
    clock.now_s += 10.0
    progress.update(100, 600, unit="steps")
    assert capsys.readouterr().err.splitlines() == [
        "train: 400/600 steps",
        "train: 500/600 steps, 10.0/s, 10 s left",
        "train: 50/600 steps",
        "train: 100/600 steps, 5.0/s, 100 s left",
    ]


def test_a_terminal_has_one_line_that_is_refreshed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress("train")
    progress.update(0, 2, unit="steps", note="a long note that has to be wiped")
    progress.update(1, 2, unit="steps")  # too soon after the one before
    clock.now_s += 1.0
    progress.update(1, 2, unit="steps")
    progress.update(2, 2, unit="steps")
    first, second, third = terminal.getvalue().split("\r")[1:]
    assert first.endswith("wiped")
    assert second.startswith("train: 1/2 steps, 1.0/s, 1 s left")
    assert len(second) == len(first)
    assert third == "train: 2/2 steps, 2.0/s".ljust(len(second.rstrip())) + "\n"


@pytest.mark.usefixtures("clock")
def test_no_work_is_finished_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("augment").update(0, 0, unit="windows")
    assert capsys.readouterr().err == "augment: 0/0 windows\n"
