"""ISBL, importance sampling based on loss: hard samples are drawn more often, mastered ones never vanish.

Within a pool ``C_k`` a sample is drawn with

    P(x_i) = (L_i^alpha + eps) / sum_j (L_j^alpha + eps)

where ``L_i`` is its most recent loss, 1 for all at the start. A batch takes a fixed number of rows from each pool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from nanowakeword.errors import ConfigError
from steps.dataset import AdaptiveLossAwareDataset
from steps.sum_tree import SumTree

__all__ = ["DynamicClassAwareSampler"]

Numbers = npt.NDArray[np.int64]
_BLOCK: Final = 1 << 20
# One row more is drawn for every so many, in the place of those that are drawn twice.
_SPARE: Final = 8


class DynamicClassAwareSampler:
    """Draws batches of row numbers over a dataset, and keeps its losses.

    Rows of a batch are drawn as by ``torch.multinomial``, one after the other, each from what is left of its pool; with
    repeats only where the pool is smaller than its share. The cost of a batch hardly grows with the pools.

    Args:
        dataset: whose rows to draw; its losses are read now, and kept by `update`.
        composition: rows of each pool in a batch, by name.
        seed: the same seed and the same losses give the same batches.
        alpha: 0 draws uniformly, 1 in proportion to the loss.
        epsilon: keeps a row of loss zero in the game.
        loss_floor: losses below it count as this.
        loss_cap: losses above it count as this, so that rows that cannot be learnt do not run the batches.
        loss_decay: how much of a row's former losses stays when a new one is known; 0: nothing, as in the equation.
        reset_every_batches: forget all losses after so many batches; None: never.

    Raises:
        ConfigError: a pool that the composition names has no rows.
    """

    def __init__(
        self,
        dataset: AdaptiveLossAwareDataset,
        composition: Mapping[str, int],
        *,
        seed: int | list[int],
        alpha: float,
        epsilon: float,
        loss_floor: float = 0.0,
        loss_cap: float | None = None,
        loss_decay: float = 0.0,
        reset_every_batches: int | None = None,
    ) -> None:
        self._dataset, self._rng, self._batches = dataset, np.random.default_rng(seed), 0
        self._alpha, self._epsilon, self._floor, self._cap = alpha, epsilon, loss_floor, loss_cap
        self._decay, self._reset_every = loss_decay, reset_every_batches
        self._losses: npt.NDArray[np.float32] = dataset.losses.numpy()  # the same memory
        self._shares = {pool: count for pool, count in composition.items() if count}
        self._pools = {pool: _Pool(*dataset.stretches(pool)) for pool in self._shares}
        for pool, count in self._shares.items():
            if not len(self._pools[pool]):
                raise ConfigError(
                    f"train.batch_composition takes {count} rows of the pool {pool!r}",
                    got="no rows of it in the data",
                    hint="Set its share to 0, or make some of it",
                )
        self._plant()

    def draw(self) -> Numbers:
        """Row numbers of the next batch, pool after pool in the order of the composition."""
        if self._reset_every and self._batches and self._batches % self._reset_every == 0:
            self._losses.fill(1.0)
            self._plant()
        self._batches += 1
        return np.concatenate(
            [self._pools[pool].rows(self._draw(self._trees[pool], count)) for pool, count in self._shares.items()]
        )

    def update(self, rows: Numbers, losses: npt.NDArray[np.floating]) -> None:
        """Remember the losses of rows that were just trained on; of a row that is there twice, the last one."""
        self._losses[rows] = self._decay * self._losses[rows] + (1.0 - self._decay) * losses
        pool_of = self._dataset.pool_of(rows)
        for pool, tree in self._trees.items():
            mine = rows[pool_of == self._dataset.pools.index(pool)]
            tree.set(self._pools[pool].places(mine), self._weights(self._losses[mine]))

    def probabilities(self, pool: str) -> npt.NDArray[np.float64]:
        """P(x_i) of the equation for each row of a pool, in the order of the dataset."""
        weights = self._trees[pool].weights(np.arange(len(self._pools[pool]))).astype(np.float64)
        shares: npt.NDArray[np.float64] = weights / weights.sum()
        return shares

    def state_dict(self) -> dict[str, Any]:
        """All that decides the batches to come: tensors, numbers and strings."""
        return {
            "losses": self._dataset.losses,
            "batches": self._batches,
            "random": json.dumps(self._rng.bit_generator.state),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another sampler of the same arguments was."""
        self._dataset.losses.copy_(torch.as_tensor(state["losses"]))
        self._batches = int(state["batches"])
        self._rng.bit_generator.state = json.loads(state["random"])
        self._plant()

    def _weights(self, losses: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Numerator of the equation."""
        counted = np.clip(losses, self._floor, self._cap)
        weights: npt.NDArray[np.float32] = counted ** np.float32(self._alpha) + np.float32(self._epsilon)
        return weights

    def _plant(self) -> None:
        """Build the trees from the losses as they are."""
        self._trees = {}
        for name, pool in self._pools.items():
            weights = np.empty(len(pool), np.float32)
            for first in range(0, len(pool), _BLOCK):
                places = np.arange(first, min(first + _BLOCK, len(pool)))
                weights[places] = self._weights(self._losses[pool.rows(places)])
            self._trees[name] = SumTree(weights)

    def _draw(self, tree: SumTree, count: int) -> Numbers:
        """Places of some rows in their pool."""
        if count > len(tree):
            return tree.draw(self._rng.random(count))
        # Drawn with repeats, and these left out, is drawn one after the other from what is left. A few more than needed
        # are drawn, so that one round is mostly enough. Rows that were taken weigh nothing in the rounds after it: else
        # one heavy row would be drawn for ever.
        taken = self._first_of(tree, count)
        if len(taken) == count:
            return taken
        weights = np.zeros(0, np.float32)
        while (missing := count - len(taken)) > 0:
            weights = np.concatenate([weights, tree.weights(taken[len(weights) :])])
            tree.set(taken, 0.0)
            taken = np.concatenate([taken, self._first_of(tree, missing)])
        tree.set(taken[: len(weights)], weights)
        return taken

    def _first_of(self, tree: SumTree, count: int) -> Numbers:
        """The first distinct leaves of some draws, in their order: at most ``count``."""
        drawn = tree.draw(self._rng.random(count + count // _SPARE + 1))
        new: Numbers = drawn[np.sort(np.unique(drawn, return_index=True)[1])[:count]]
        return new


class _Pool:
    """Rows of one pool: places 0, 1, 2... in it to row numbers, and back, by bisection.

    Args:
        firsts: first row of each stretch of its rows.
        lengths: of the stretches.
    """

    def __init__(self, firsts: Numbers, lengths: Numbers) -> None:
        self._firsts = firsts
        self._before = np.concatenate([[0], np.cumsum(lengths)])

    def __len__(self) -> int:
        return int(self._before[-1])

    def rows(self, places: Numbers) -> Numbers:
        stretch = np.searchsorted(self._before, places, side="right") - 1
        rows: Numbers = self._firsts[stretch] + places - self._before[stretch]
        return rows

    def places(self, rows: Numbers) -> Numbers:
        stretch = np.searchsorted(self._firsts, rows, side="right") - 1
        places: Numbers = self._before[stretch] + rows - self._firsts[stretch]
        return places
