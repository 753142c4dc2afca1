"""Commands that need a checkout of the repository: the pipeline, its tools and the server, programs of their own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from nanowakeword.errors import ConfigError, DependencyError

__all__ = ["become_server", "become_step", "run_pipeline"]


def run_pipeline(params: Path, *, until: str | None = None, beginning: Sequence[str] = ()) -> int:
    """Run the stages that are not up to date, in the workspace of a ``params.yaml``.

    Args:
        params: the settings; ``dvc.yaml`` lies beside them.
        until: stage to stop after; None: the last.
        beginning: options of ``python -m steps train`` that say where to begin. That stage then runs by itself first,
            and once more under DVC, where it finds its last checkpoint and ends at once.

    Returns:
        The exit status of ``dvc repro``, or of what failed before it.

    Raises:
        ConfigError: there is no such file, or no pipeline beside it.
        DependencyError: DVC is not installed.
    """
    if not params.is_file():
        raise ConfigError(f"no settings at {params}", hint="Give the path of a params.yaml")
    folder = params.absolute().parent
    if params.name != "params.yaml" or not (folder / "dvc.yaml").is_file():
        raise ConfigError(
            f"{params} belongs to no pipeline",
            expected="a params.yaml beside a dvc.yaml, as in a checkout of the repository",
        )
    if importlib.util.find_spec("dvc") is None:
        raise DependencyError("the pipeline runs through DVC", hint='Install it: pip install "nanowakeword[train]"')
    repro = ["dvc", "repro"]
    programs = [[*repro, "features"], ["steps", "train", *beginning]] if beginning else []
    for program in [*programs, [*repro, *([until] if until else [])]]:
        status = _run_module(program, folder=folder)
        if status != 0:
            break
    return status


def _run_module(program: Sequence[str], *, folder: Path) -> int:
    """Run ``python -m PROGRAM`` in a folder; signals reach it."""
    child = subprocess.Popen([sys.executable, "-m", *program], cwd=folder, env={**os.environ, "DVC_NO_ANALYTICS": "1"})

    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    while True:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            continue  # a terminal's Ctrl-C reaches the child, too: wait until it has cleaned up
        return status if status >= 0 else 128 - status


def become_server(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by ``python -m serving ARGUMENTS``.

    Raises:
        DependencyError: the server is not here; a wheel holds the runtime only.
    """
    _become("serving", arguments, what="the server")


def become_step(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by ``python -m steps ARGUMENTS``.

    Raises:
        DependencyError: the pipeline is not here; a wheel holds the runtime only.
    """
    _become("steps", arguments, what="the pipeline")


def _become(package: str, arguments: Sequence[str], *, what: str) -> NoReturn:
    if importlib.util.find_spec(package) is None and not Path(package, "__main__.py").is_file():
        raise DependencyError(
            f"{what} is not installed",
            hint="It is part of the repository: run this in a checkout of it, set up as its README says",
        )
    os.execv(sys.executable, [sys.executable, "-m", package, *arguments])  # noqa: S606  # no shell
