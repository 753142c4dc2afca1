"""The pipeline under DVC alone: what is stale runs, what is not does not, and a kill leaves nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ruamel.yaml import YAML

from steps.workspace import prepare_workspace
from tests.flows.conftest import Dvc, keep_stages, use_own_cache

SLOW = """
import os, time
from pathlib import Path
from steps.stage import Context

def run(context: Context) -> None:
    (context.out / "half.txt").write_text("half")
    (context.root / "pid").write_text(str(os.getpid()))
    time.sleep(60)
"""
QUICK = """
from steps.stage import Context

def run(context: Context) -> None:
    (context.out / "whole.txt").write_text("whole")
"""


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Stages that a ``dvc repro`` ran."""
    assert done.returncode == 0, done.stderr
    return [line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("Running stage")]


def edit(workspace: Path, before: str, after: str) -> None:
    params = workspace / "params.yaml"
    text = params.read_text("utf-8")
    assert before in text
    params.write_text(text.replace(before, after), encoding="utf-8")


def await_file(path: Path) -> str:
    deadline = time.monotonic() + 30
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)
    return path.read_text()


def is_gone(pid: int) -> bool:
    """Whether a process has ended within a few seconds; an unreaped one counts as ended."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_only_what_is_stale_runs(workspace: Path, dvc: Dvc) -> None:
    assert sorted(ran(dvc(workspace, "repro"))) == ["corpus", "phrases"]
    document = json.loads((workspace / "artifacts" / "phrases" / "phrases.json").read_text("utf-8"))
    assert document["phrase"] == "hey nano"
    assert (workspace / "artifacts" / "corpus" / "recordings.jsonl").is_file()
    lock = YAML(typ="safe", pure=True).load((workspace / "dvc.lock").read_text("utf-8"))
    assert sorted(lock["stages"]) == ["corpus", "phrases"]

    started = time.monotonic()
    assert ran(dvc(workspace, "repro")) == []
    assert time.monotonic() - started < 5.0

    edit(workspace, "sentences: 3 ", "sentences: 4 ")
    assert ran(dvc(workspace, "repro")) == ["phrases"]
    edit(workspace, "size: auto", "size: medium")
    assert ran(dvc(workspace, "repro")) == []
    edit(workspace, "sentences: 4 ", "sentences: 3 ")
    assert ran(dvc(workspace, "repro")) == []  # from the cache


def test_a_changed_helper_makes_its_stages_stale(scripted: Callable[[str], Path], dvc: Dvc) -> None:
    workspace = scripted(QUICK)
    assert ran(dvc(workspace, "repro")) == ["phrases"]
    for file in ("steps/settings/training.py", "steps/phrases.py"):
        with (workspace / file).open("a") as stream:
            stream.write("\n# a comment\n")
        assert ran(dvc(workspace, "repro")) == ["phrases"]
    with (workspace / "steps" / "train.py").open("a") as stream:
        stream.write("\n# a comment\n")
    assert ran(dvc(workspace, "repro")) == []


def test_a_changed_manifest_makes_corpus_stale(tmp_path: Path, dvc: Dvc) -> None:
    """The manifest lies outside of the workspace."""
    manifest = tmp_path / "recordings" / "manifest.csv"
    manifest.parent.mkdir()
    rows = ["path,source,licence,kind,speaker,seconds"]
    for number in range(4):
        noise = np.random.default_rng(number).integers(-3_000, 3_000, 16_000, dtype=np.int16)
        soundfile.write(manifest.parent / f"{number}.wav", noise, 16_000)
        rows.append(f"{number}.wav,here,CC0-1.0,noise,,1.0")
    manifest.write_text("\n".join(rows[:-1]) + "\n")
    folder = tmp_path / "workspace"
    prepare_workspace(folder, real=manifest)
    use_own_cache(folder)
    keep_stages(folder, "corpus")

    def listed() -> int:
        return len((folder / "artifacts" / "corpus" / "recordings.jsonl").read_text("utf-8").splitlines())

    assert ran(dvc(folder, "repro")) == ["corpus"]
    assert listed() == 3
    assert ran(dvc(folder, "repro")) == []
    manifest.write_text("\n".join(rows) + "\n")
    assert ran(dvc(folder, "repro")) == ["corpus"]
    assert listed() == 4


def test_a_typo_stops_it_with_all_errors(workspace: Path, dvc: Dvc) -> None:
    assert dvc(workspace, "repro").returncode == 0
    edit(workspace, "sentences: 3 ", "sentencez: 3 ")
    edit(workspace, "phrase: hey nano", 'phrase: ""')
    done = dvc(workspace, "repro", "phrases")
    assert done.returncode != 0
    assert "3 wrong settings" in done.stderr
    assert 'phrases.sentencez: unknown key; did you mean "sentences"?' in done.stderr
    assert "wakeword.phrase: is empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert (workspace / "artifacts" / "corpus" / "recordings.jsonl").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="a child's death with its parent is asked of Linux")
def test_dvc_killed_amid_a_stage(scripted: Callable[[str], Path], dvc: Dvc) -> None:
    workspace = scripted(SLOW)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "dvc", "repro"]
    process = subprocess.Popen(command, cwd=workspace, env=environment, stdout=subprocess.DEVNULL)
    stage = int(await_file(workspace / "pid"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_gone(stage), "the stage lives on without DVC"
    assert not (workspace / "artifacts" / "phrases").exists()
    assert not (workspace / "dvc.lock").exists()

    scripted(QUICK)
    assert ran(dvc(workspace, "repro")) == ["phrases"]
    assert [path.name for path in (workspace / "artifacts").iterdir()] == ["phrases"]
    assert [path.name for path in (workspace / "artifacts" / "phrases").iterdir()] == ["whole.txt"]
