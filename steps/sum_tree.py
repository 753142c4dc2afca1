"""Weighted draws from a hundred million rows: a tree of sums.

The leaves are the rows' weights; each node above is the sum of its children, so that a draw walks down from the root
and a changed weight mends only the nodes above it. Both cost as many steps as the tree is high: 6 for 100 million rows.
A node is always summed anew from its children, in one order. So no error gathers over the updates, and a tree that is
built from the same weights is the same to the last bit, whatever it went through.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["SumTree"]

# Children of a node: with fewer the tree is higher, with more there is more to add up; 32 was the quickest.
_CHILDREN: Final = 32

Numbers = npt.NDArray[np.int64]


class SumTree:
    """Weights that can be drawn from and changed.

    Args:
        weights: float32 ``[n]``, none negative, n > 0; copied. float32, as they are most of the tree's memory.
    """

    def __init__(self, weights: npt.NDArray[np.float32]) -> None:
        self._n = len(weights)
        # Each level in blocks of one node's children, [nodes, children]; the last block is filled with zeros.
        self._levels: list[npt.NDArray[np.floating]] = [_in_blocks(weights)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_in_blocks(_sums(self._levels[-1])))

    def __len__(self) -> int:
        return self._n

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(_sums(self._levels[-1])[0])

    def weights(self, numbers: Numbers) -> npt.NDArray[np.float32]:
        """Weights ``[m]`` of some leaves."""
        found: npt.NDArray[np.float32] = self._levels[0].reshape(-1)[numbers]
        return found

    def set(self, numbers: Numbers, weights: npt.ArrayLike) -> None:
        """Change the weights of some leaves; of one that is named twice, the last counts.

        Args:
            numbers: of the leaves, ``[m]``.
            weights: new ones, ``[m]`` or one for all.
        """
        self._levels[0].reshape(-1)[numbers] = weights
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            numbers = numbers // _CHILDREN
            level.reshape(-1)[numbers] = _sums(below[numbers])

    def draw(self, uniform: npt.NDArray[np.float64]) -> Numbers:
        """Numbers of leaves ``[m]``, each drawn in proportion to its weight; one of weight zero never is.

        Args:
            uniform: ``[m]`` random numbers in [0, 1).
        """
        node = np.zeros(len(uniform), np.int64)
        left, each = uniform * self.total, np.arange(len(uniform))
        for level in reversed(self._levels):
            # Cumulative sums of the children, [m, children]: the first that is above what is left is the one.
            # torch adds them up in a third of numpy's time.
            sums = torch.from_numpy(level[node]).cumsum(1, dtype=torch.float64).numpy()
            # Sums in another order differ in their last bits, and nothing may fall off the end.
            left = np.minimum(left, np.nextafter(sums[:, -1], 0.0))
            child = np.argmax(sums > left[:, np.newaxis], axis=1)
            left -= np.where(child > 0, sums[each, child - 1], 0.0)
            node = node * _CHILDREN + child
        return node


def _in_blocks(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """``[n] -> [ceil(n / children), children]``, a copy."""
    blocks = np.zeros((-(-len(values) // _CHILDREN), _CHILDREN), values.dtype)
    blocks.reshape(-1)[: len(values)] = values
    return blocks


def _sums(blocks: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Sum of each block, ``[nodes, children] -> [nodes]``."""
    sums: npt.NDArray[np.float64] = blocks.sum(axis=1, dtype=np.float64)
    return sums
