"""Workspaces with a few stages, run by the real DVC and, where a test asks for it, the real Prefect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from steps.closure import CHECKOUT
from steps.workspace import prepare_workspace

Dvc = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server with a database of its own; starting one takes some seconds."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    import flows  # noqa: F401, I001 -- before Prefect, which reads its settings when it is imported
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The stages ``phrases`` and ``corpus``, which need no other, with a cache of their own."""
    folder = tmp_path / "workspace"
    prepare_workspace(folder, options=["phrases.sentences=3"])
    use_own_cache(folder)
    keep_stages(folder, "phrases", "corpus")
    return folder


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a workspace whose only stage, ``phrases``, is a script: for what no real stage does when asked."""

    def make(script: str) -> Path:
        folder = tmp_path / "scripted"
        if not folder.exists():
            prepare_workspace(folder)
            use_own_cache(folder)
            (folder / "steps").unlink()
            shutil.copytree(CHECKOUT / "steps", folder / "steps", ignore=shutil.ignore_patterns("__pycache__"))
            keep_stages(folder, "phrases")
        (folder / "steps" / "phrases.py").write_text(script)
        return folder

    return make


@pytest.fixture
def dvc() -> Dvc:
    """Runs DVC's command line in a workspace."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def use_own_cache(folder: Path) -> None:
    (folder / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n")


def keep_stages(folder: Path, *names: str) -> None:
    path = folder / "dvc.yaml"
    stages = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))["stages"]
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump({"stages": {name: stages[name] for name in names}}, stream)
