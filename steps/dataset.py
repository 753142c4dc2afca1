"""Rows of features from any number of files under one index, each with the loss that it last had.

Nothing is loaded: a row is read from its memory-mapped file when a batch asks for it. Kept in memory are one loss per
row, and where each stretch of rows of one pool begins. Where a row lies is found by bisection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nanowakeword.errors import StorageError

__all__ = ["AdaptiveLossAwareDataset", "NpyRows", "Source"]

Numbers = npt.NDArray[np.int64]


class Rows(Protocol):
    """An array on disk: ``RowArray`` of a zarr store, or `NpyRows`."""

    shape: tuple[int, ...]

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """A copy of rows ``[m, ...]`` in the order asked for."""
        ...


class NpyRows:
    """Rows of a ``.npy`` file, memory-mapped.

    Args:
        path: the file; ``[n, t, f]``.

    Attributes:
        shape: of the array.

    Raises:
        StorageError: there is no such file, or it is no array of numbers of three axes.
    """

    def __init__(self, path: Path) -> None:
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise StorageError(f"no features at {path}") from None
        except (ValueError, EOFError) as error:
            raise StorageError(f"{path} is no .npy file of numbers", got=error) from None
        if mapped.ndim != 3 or mapped.dtype.kind != "f":
            raise StorageError(
                str(path), got=f"{mapped.dtype} {list(mapped.shape)}", expected="floats [rows, frames, features]"
            )
        # As a plain array: numpy.memmap pays for its subclass at each indexing.
        self._values: npt.NDArray[Any] = np.asarray(mapped).view(np.ndarray)
        self.shape: tuple[int, ...] = mapped.shape

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """A copy of rows ``[m, t, f]`` in the order asked for."""
        found: npt.NDArray[Any] = self._values[np.asarray(indices, dtype=np.int64)]
        return found


@dataclass(frozen=True, kw_only=True)
class Source:
    """One array of features.

    Attributes:
        features: ``[n, t, f]``; all sources have the same ``f``.
        pools: name of the pool of all rows, or of each, ``[n]`` strings or numbers into ``names``.
        names: of the pools, in the order of their numbers; not needed where one name is given for all.
    """

    features: Rows
    pools: str | npt.NDArray[np.integer]
    names: Sequence[str] = ()


class AdaptiveLossAwareDataset:
    """Sources end to end.

    Args:
        sources: at least one.

    Attributes:
        frames: least that a row has.
        losses: most recent loss of each row, float32 ``[n]``, 1 at the start; `DynamicClassAwareSampler` keeps it.
        pools: names of the pools, in the order in which they first occur.

    Raises:
        StorageError: sources with another number of features in a frame than the first.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        widths = {source.features.shape[2] for source in sources}
        if len(widths) != 1:
            raise StorageError(
                "sources of features", got=f"{sorted(widths)} values in a frame", expected="as many in each"
            )
        self._arrays = [source.features for source in sources]
        self.frames = min(array.shape[1] for array in self._arrays)
        self._firsts = np.cumsum([0, *(array.shape[0] for array in self._arrays)])
        stretches = [stretch for source in sources for stretch in _stretches(source)]
        self.pools = tuple(dict.fromkeys(name for name, _ in stretches))
        numbers = {name: number for number, name in enumerate(self.pools)}
        self._stretch_pools = np.array([numbers[name] for name, _ in stretches], np.int64)
        self._stretch_firsts = np.cumsum([0, *(length for _, length in stretches)])
        self.losses = torch.ones(len(self))

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def rows(self, numbers: Numbers, *, frames: int, out: Tensor | None = None) -> Tensor:
        """The last frames of some rows, in the order asked for.

        Args:
            numbers: global indices ``[m]``; repeats are allowed.
            frames: how many, or all there are if a source has fewer.
            out: what an earlier call for as many returned, to write them to; None: new memory.

        Returns:
            float32 ``[m, t, f]``.
        """
        frames = min(frames, self.frames)
        if out is None:
            out = torch.empty(len(numbers), frames, self._arrays[0].shape[2])
        if len(self._arrays) == 1:
            return out.copy_(torch.from_numpy(self._arrays[0].rows(numbers))[:, -frames:])
        source_of = np.searchsorted(self._firsts, numbers, side="right") - 1
        # Grouped by source; torch makes float32 of float16 many times faster than numpy.
        order = np.argsort(source_of, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(source_of[order])) + 1):
            source = int(source_of[group[0]])
            rows = self._arrays[source].rows(numbers[group] - self._firsts[source])
            out.index_copy_(0, torch.from_numpy(group), torch.from_numpy(rows)[:, -frames:].to(torch.float32))
        return out

    def pool_of(self, numbers: Numbers) -> Numbers:
        """Pool of each of some rows, as numbers into `pools`."""
        found: Numbers = self._stretch_pools[np.searchsorted(self._stretch_firsts, numbers, side="right") - 1]
        return found

    def stretches(self, pool: str) -> tuple[Numbers, Numbers]:
        """Where a pool's rows lie: first row of each stretch, and how many there are in it."""
        lengths = np.diff(self._stretch_firsts)
        mine = np.flatnonzero(self._stretch_pools == (self.pools.index(pool) if pool in self.pools else -1))
        return self._stretch_firsts[mine], lengths[mine]


def _stretches(source: Source) -> list[tuple[str, int]]:
    """Name and length of each stretch of rows of one pool."""
    if isinstance(source.pools, str):
        return [(source.pools, source.features.shape[0])]
    borders = np.flatnonzero(np.diff(source.pools)) + 1
    starts = np.concatenate([[0], borders])[: len(source.pools)]
    lengths = np.diff(np.append(starts, len(source.pools)))
    return [
        (source.names[pool], int(length))
        for pool, length in zip(source.pools[starts].tolist(), lengths.tolist(), strict=True)
    ]
