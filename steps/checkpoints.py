"""Checkpoints of a training run: whole, few, and safe to open.

A checkpoint is written beside its place, brought to the disk and renamed, so that a run that is killed or loses power
leaves whole ones only. It holds tensors, numbers and strings: opening one runs no code. The oldest go first, by their
step and not by the order of their names; the best one stays. One that a disk damaged nevertheless is known by its
checksums, set aside as ``step_*.damaged``, and the one before takes its place.
"""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from nanowakeword.errors import StorageError

__all__ = ["Checkpoints", "checkpoint_paths", "load_checkpoint"]


def checkpoint_paths(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    steps = {path: re.fullmatch(r"step_(\d+)\.pt", path.name) for path in folder.glob("step_*.pt")}
    return sorted((path for path, match in steps.items() if match), key=_step)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What was saved, on the CPU.

    Raises:
        StorageError: the file is not as it was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # torch itself reads over wrong checksums.
            if (member := archive.testzip()) is not None:
                raise StorageError(f"{path} is damaged", got=f"another checksum of {member} than was written")
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, RuntimeError, ValueError) as error:
        raise StorageError(f"{path} is damaged", got=f"{path.stat().st_size} bytes, {error}") from None
    return state


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: made when it is needed.
        limit: checkpoints kept besides the best.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self._folder, self._limit = folder, limit

    def save(self, step: int, state: Mapping[str, Any], *, best: int) -> None:
        """Write a checkpoint, then remove those over the limit.

        Args:
            step: how many steps were done.
            state: of tensors, numbers, strings, and lists and dicts of these.
            best: step of the checkpoint to keep whatever its age.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"step_{step:06d}.pt"
        beside = path.with_suffix(".writing")
        with beside.open("wb") as stream:
            torch.save({**state, "step": step}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        for old in checkpoint_paths(self._folder)[: -self._limit]:
            if _step(old) != best:
                old.unlink()

    def newest(self, *, warn: Callable[[str], None]) -> dict[str, Any] | None:
        """What `save` was given last, with its ``step``; None if there is nothing that can be read.

        Args:
            warn: told of each damaged checkpoint, and of what happens instead.
        """
        for path in reversed(checkpoint_paths(self._folder)):
            try:
                return load_checkpoint(path)
            except StorageError as error:
                # Set aside, or it would count as one of the newest and push whole ones out.
                path.replace(path.with_suffix(".damaged"))
                left = checkpoint_paths(self._folder)
                instead = f"goes on from {left[-1].name}" if left else "starts anew"
                warn(f"warning: {error}; training {instead}")
        return None


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))
