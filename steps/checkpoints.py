"""Checkpoints of a training run: whole, few, and safe to open.

A checkpoint is written beside its place, brought to the disk and renamed, so that a run that is killed or loses power
leaves whole ones only. It holds tensors, numbers and strings: opening one runs no code. The oldest go first, by their
step and not by the order of their names; the best one stays.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["Checkpoints", "checkpoint_paths"]


def checkpoint_paths(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    steps = {path: re.fullmatch(r"step_(\d+)\.pt", path.name) for path in folder.glob("step_*.pt")}
    return sorted((path for path, match in steps.items() if match), key=_step)


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

    def newest(self) -> dict[str, Any] | None:
        """What `save` was given last, with its ``step``; None if there is nothing."""
        paths = checkpoint_paths(self._folder)
        if not paths:
            return None
        state: dict[str, Any] = torch.load(paths[-1], weights_only=True, map_location="cpu")
        return state


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))
