"""Weighted draws from a hundred million rows: trees of sums, side by side.

The leaves are the rows' weights; each node above is the sum of its children. A tree is cut off where it is a few
thousand nodes wide: those are added up for each draw, which finds its node by bisection and walks down from there, and
a changed weight mends only the nodes above it. Of 100 million rows that is three steps. All trees lie in the same
arrays, so that one walk draws from all of them.
A node is always summed anew from its children, in one order. So no error gathers over the updates, and a tree that is
built from the same weights is the same to the last bit, whatever it went through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["SumTrees"]

# Children of a node: with fewer the tree is higher, with more there is more to add up; 32 was the quickest.
_CHILDREN: Final = 32
# Nodes at the top, of all trees: to add them up takes less time than a step down.
_WIDEST: Final = 4_096

Numbers = npt.NDArray[np.int64]


class SumTrees:
    """Weights that can be drawn from and changed.

    Args:
        weights: of each tree, float32 ``[n]``, none negative, n > 0; copied. float32, as they are most of the memory.

    Attributes:
        firsts: number of each tree's first leaf, int64 ``[trees]``; its others follow.
    """

    def __init__(self, weights: Sequence[npt.NDArray[np.float32]]) -> None:
        sizes = np.array([len(some) for some in weights])
        height = 1
        while (-(-sizes // _CHILDREN**height)).sum() > _WIDEST:
            height += 1
        # Whole nodes at the top, so that no node has children of two trees.
        self._tops = np.cumsum([0, *-(-sizes // _CHILDREN**height)]).tolist()
        self.firsts: Numbers = np.array(self._tops[:-1], np.int64) * _CHILDREN**height
        leaves = np.zeros(self._tops[-1] * _CHILDREN**height, np.float32)
        for first, some in zip(self.firsts.tolist(), weights, strict=True):
            leaves[first : first + len(some)] = some
        # Each level in blocks of one node's children, [nodes, children], and the top, [nodes].
        self._levels: list[npt.NDArray[np.floating]] = [leaves.reshape(-1, _CHILDREN)]
        for _ in range(height - 1):
            self._levels.append(_sums(self._levels[-1]).reshape(-1, _CHILDREN))
        self._top = _sums(self._levels[-1])

    def total(self, tree: int) -> float:
        """Sum of a tree's weights."""
        return float(np.cumsum(self._top[self._tops[tree] : self._tops[tree + 1]])[-1])

    def weights(self, leaves: Numbers) -> npt.NDArray[np.float32]:
        """Weights ``[m]`` of some leaves."""
        found: npt.NDArray[np.float32] = self._levels[0].reshape(-1)[leaves]
        return found

    def set(self, leaves: Numbers, weights: npt.ArrayLike) -> None:
        """Change the weights of some leaves; of one that is named twice, the last counts.

        Args:
            leaves: their numbers, ``[m]``.
            weights: new ones, ``[m]`` or one for all.
        """
        self._levels[0].reshape(-1)[leaves] = weights
        nodes = leaves
        for below, level in zip(self._levels, [*self._levels[1:], self._top], strict=True):
            nodes = nodes // _CHILDREN
            level.reshape(-1)[nodes] = _sums(below[nodes])

    def draw(self, points: Mapping[int, npt.NDArray[np.float64]]) -> Numbers:
        """Leaves, each drawn from its tree in proportion to its weight; one of weight zero never is.

        Args:
            points: random numbers in [0, 1), ``[m]`` for each tree that is drawn from, by its place.

        Returns:
            As many leaves, tree after tree.
        """
        entered = [self._enter(tree, some) for tree, some in points.items()]
        node, left = (np.concatenate(parts) for parts in zip(*entered, strict=True))
        each = np.arange(len(node))
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

    def _enter(self, tree: int, points: npt.NDArray[np.float64]) -> tuple[Numbers, npt.NDArray[np.float64]]:
        """Nodes at the top of a tree, and what is left of the way into each."""
        sums = np.cumsum(self._top[self._tops[tree] : self._tops[tree + 1]])
        left = np.minimum(points * sums[-1], np.nextafter(sums[-1], 0.0))
        node = np.searchsorted(sums, left, side="right")
        left -= np.where(node > 0, sums[node - 1], 0.0)
        return node + self._tops[tree], left


def _sums(blocks: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Sum of each block, ``[nodes, children] -> [nodes]``."""
    sums: npt.NDArray[np.float64] = blocks.sum(axis=1, dtype=np.float64)
    return sums
