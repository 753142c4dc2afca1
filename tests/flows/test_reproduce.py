"""One stage in a child process: what it says is forwarded, and it never outlives who started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.reproduce import Tail, reproduce, stage_names
from steps.stage import STAGES
from steps.workspace import prepare_workspace
from tests.flows.test_pipeline import SLOW, await_file, is_gone

REPORTING = """
import os, subprocess, time
from steps.stage import Context

def run(context: Context) -> None:
    worker = subprocess.Popen(["sleep", "SECONDS"])
    (context.root / "pids").write_text(f"{os.getpid()} {worker.pid}")
    context.progress.update(1, 2, unit="things", note="half way")
    time.sleep(SECONDS)
    context.progress.update(2, 2, unit="things")
    (context.out / "whole.txt").write_text("whole")
"""


def test_the_graph_is_dvcs(tmp_path: Path) -> None:
    prepare_workspace(tmp_path / "workspace")
    names = stage_names(tmp_path / "workspace")
    assert {name: set(needs) for name, needs in names.items()} == {s.name: set(s.inputs) for s in STAGES.values()}
    order = list(names)
    assert all(order.index(need) < order.index(name) for name, needs in names.items() for need in needs)


def test_log_and_progress(scripted: Callable[[str], Path]) -> None:
    lines: list[str] = []
    reports: list[dict[str, Any]] = []
    workspace = scripted(REPORTING.replace("SECONDS", "0"))
    assert reproduce("phrases", workspace=workspace, log=lines.append, report=reports.append) == 0
    assert "phrases: 1/2 things  half way" in lines
    assert [(entry["done"], entry["total"], entry["note"]) for entry in reports] == [(1, 2, "half way"), (2, 2, "")]
    assert (workspace / "artifacts" / "phrases" / "whole.txt").is_file()


def test_a_failing_stage(scripted: Callable[[str], Path]) -> None:
    lines: list[str] = []
    workspace = scripted("def run(context):\n    raise OSError(28, 'No space left on device', 'clips.npy')\n")
    assert reproduce("phrases", workspace=workspace, log=lines.append, report=print) != 0
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith(
        "error: stage phrases was refused by the disk: No space left on device (clips.npy). Free"
    )
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_running(scripted: Callable[[str], Path], interruption: type[BaseException]) -> None:
    workspace = scripted(REPORTING.replace("SECONDS", "60"))

    def interrupt(entry: dict[str, Any]) -> None:
        raise interruption

    started = time.monotonic()
    with pytest.raises(interruption):
        reproduce("phrases", workspace=workspace, log=print, report=interrupt)
    assert time.monotonic() - started < 30.0
    assert all(is_gone(int(pid)) for pid in (workspace / "pids").read_text().split())
    assert not (workspace / "artifacts" / "phrases").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a child's death with its parent is asked of Linux")
def test_it_dies_with_who_started_it(scripted: Callable[[str], Path]) -> None:
    workspace = scripted(SLOW)
    program = (
        "import sys; from pathlib import Path; from flows.reproduce import reproduce; "
        "reproduce('phrases', workspace=Path(sys.argv[1]), log=print, report=print)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(workspace)], stdout=subprocess.DEVNULL)
    stage = int(await_file(workspace / "pid"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_gone(stage)


def test_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    file = tmp_path / "progress.jsonl"
    tail = Tail(file)
    assert tail.new() == []
    file.write_bytes(b'{"done": 1}\n{"do')
    assert tail.new() == [{"done": 1}]
    assert tail.new() == []
    with file.open("ab") as stream:
        stream.write(b'ne": 2}\n' + json.dumps({"note": "a\u2028b\r"}, ensure_ascii=False).encode() + b"\n")
    assert tail.new() == [{"done": 2}, {"note": "a\u2028b\r"}]
