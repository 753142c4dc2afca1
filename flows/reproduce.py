"""One stage through DVC, in a child process of its own group: its log forwarded, its progress told, no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Thread
from typing import Any, Final

from dvc.repo import Repo

from steps.progress import PROGRESS_FILE_VARIABLE

__all__ = ["Tail", "reproduce", "stage_names"]

_POLL_S: Final = 0.5
_GRACE_S: Final = 5.0


def stage_names(workspace: Path) -> dict[str, list[str]]:
    """Stages in an order in which they can run, each with the stages that it needs, as DVC reads them."""
    with Repo(str(workspace)) as repo:
        # Edges point from a stage to what it needs.
        graph = repo.index.graph
        needs = {stage.name: sorted(needed.name for needed in graph.successors(stage)) for stage in graph}
    return {name: needs[name] for name in TopologicalSorter(needs).static_order()}


def reproduce(
    stage: str, *, workspace: Path, log: Callable[[str], None], report: Callable[[dict[str, Any]], None]
) -> int:
    """Run ``dvc repro --single-item STAGE`` and wait for it.

    Args:
        stage: a stage of the workspace's ``dvc.yaml``.
        workspace: where to run.
        log: gets each line that DVC and the stage print.
        report: gets each report of progress, as steps/progress.py describes it.

    Returns:
        The exit status; that of a stage which was killed is negative or over 128.
    """
    with tempfile.TemporaryDirectory(prefix="nanowakeword-") as folder:
        file = Path(folder) / "progress.jsonl"
        bin_folder = str(Path(sys.executable).parent)
        environment = {
            **os.environ,
            PROGRESS_FILE_VARIABLE: str(file),
            # A stage's command is `python -m steps ...`: this very Python, also where no environment is activated.
            "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", "")]),
        }
        with subprocess.Popen(
            [sys.executable, "-m", "flows.dvc_child", "repro", "--single-item", stage],
            cwd=workspace,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as child:
            reader = Thread(target=_forward, args=(child, log), daemon=True)
            reader.start()
            tail = Tail(file)
            try:
                while child.returncode is None:
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(_POLL_S)
                    for entry in tail.new():
                        report(entry)
            except BaseException:
                _end_group(child)
                raise
            finally:
                reader.join(_GRACE_S)
    return child.returncode


class Tail:
    """JSON lines that are appended to a file, which need not exist yet.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Complete lines since the last call."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            complete, newline, _ = stream.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        return [json.loads(line) for line in complete.splitlines()]


def _forward(child: subprocess.Popen[str], log: Callable[[str], None]) -> None:
    assert child.stdout is not None  # noqa: S101 -- opened as a pipe above
    for line in child.stdout:
        if line.strip():
            log(line.rstrip())


def _end_group(child: subprocess.Popen[str]) -> None:
    """End DVC, the stage and its workers: kindly, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
