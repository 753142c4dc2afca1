"""ISBL, importance sampling based on loss: hard samples are drawn more often, mastered ones never vanish.

Within a pool ``C_k`` a sample is drawn with

    P(x_i) = (L_i^alpha + eps) / sum_j (L_j^alpha + eps)

where ``L_i`` is its most recent loss, 1 for all at the start. A batch takes a fixed number of rows from each pool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from nanowakeword.errors import ConfigError
from steps.dataset import AdaptiveLossAwareDataset
from steps.sum_tree import SumTrees

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
        stretches = {pool: dataset.stretches(pool) for pool in self._shares}
        for pool, count in self._shares.items():
            if not len(stretches[pool][0]):
                raise ConfigError(
                    f"train.batch_composition takes {count} rows of the pool {pool!r}",
                    got="no rows of it in the data",
                    hint="Set its share to 0, or make some of it",
                )
        self._stretches = list(stretches.values())
        self._sizes = [int(lengths.sum()) for _, lengths in self._stretches]
        self._plant()
        self._leaves = _Leaves(self._stretches, self._trees.firsts)

    def draw(self) -> Numbers:
        """Row numbers of the next batch, pool after pool in the order of the composition, those of a pool ascending."""
        if self._reset_every and self._batches and self._batches % self._reset_every == 0:
            self._losses.fill(1.0)
            self._plant()
        self._batches += 1
        counts, sizes = list(self._shares.values()), self._sizes
        # Drawn with repeats, and these left out, is drawn one after the other from what is left. A few more than needed
        # are drawn, so that one round is mostly enough.
        wanted = [n if n > size else n + n // _SPARE + 1 for n, size in zip(counts, sizes, strict=True)]
        drawn = self._trees.draw({tree: self._rng.random(n) for tree, n in enumerate(wanted)})
        is_new = np.zeros(len(drawn), bool)
        is_new[np.unique(drawn, return_index=True)[1]] = True
        taken, end = [], 0
        for tree, (count, size, n) in enumerate(zip(counts, sizes, wanted, strict=True)):
            mine, new, end = drawn[end : end + n], is_new[end : end + n], end + n
            taken.append(np.sort(mine if count > size else self._complete(tree, mine[new][:count], count)))
        return self._leaves.rows(np.concatenate(taken))

    def update(self, rows: Numbers, losses: npt.NDArray[np.floating]) -> None:
        """Remember the losses of rows that were drawn and trained on; of a row that is there twice, the last one."""
        if self._decay:
            losses = self._decay * self._losses[rows] + (1.0 - self._decay) * losses
        self._losses[rows] = losses
        self._trees.set(self._leaves.of(rows), self._weights(self._losses[rows]))

    def probabilities(self, pool: str) -> npt.NDArray[np.float64]:
        """P(x_i) of the equation for each row of a pool, in the order of the dataset."""
        tree = list(self._shares).index(pool)
        first = self._trees.firsts[tree]
        weights = self._trees.weights(np.arange(first, first + self._sizes[tree])).astype(np.float64)
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
        planted = []
        for (firsts, lengths), size in zip(self._stretches, self._sizes, strict=True):
            before, weights = np.cumsum([0, *lengths]), np.empty(size, np.float32)
            for first in range(0, size, _BLOCK):
                places = np.arange(first, min(first + _BLOCK, size))
                stretch = np.searchsorted(before, places, side="right") - 1
                weights[places] = self._weights(self._losses[firsts[stretch] + places - before[stretch]])
            planted.append(weights)
        self._trees = SumTrees(planted)

    def _complete(self, tree: int, taken: Numbers, count: int) -> Numbers:
        """Add leaves of a tree until there are ``count`` different ones."""
        # Rows that were taken weigh nothing in the rounds after it: else one heavy row would be drawn for ever.
        weights = np.zeros(0, np.float32)
        while (missing := count - len(taken)) > 0:
            weights = np.concatenate([weights, self._trees.weights(taken[len(weights) :])])
            self._trees.set(taken, 0.0)
            drawn = self._trees.draw({tree: self._rng.random(missing + missing // _SPARE + 1)})
            new = drawn[np.sort(np.unique(drawn, return_index=True)[1])[:missing]]
            taken = np.concatenate([taken, new])
        if len(weights):
            self._trees.set(taken[: len(weights)], weights)
        return taken


class _Leaves:
    """Row numbers to leaves of the trees, and back, by bisection.

    Args:
        stretches: first row and length of each stretch of rows, for each tree in the order of its leaves.
        firsts: first leaf of each tree.
    """

    def __init__(self, stretches: Sequence[tuple[Numbers, Numbers]], firsts: Numbers) -> None:
        before = [np.cumsum(lengths) - lengths for _, lengths in stretches]
        self._leaves = np.concatenate([first + some for first, some in zip(firsts, before, strict=True)])
        self._shifts = np.concatenate([rows for rows, _ in stretches]) - self._leaves
        self._order = np.argsort(self._leaves + self._shifts)
        self._rows = (self._leaves + self._shifts)[self._order]

    def rows(self, leaves: Numbers) -> Numbers:
        """Rows of some leaves."""
        rows: Numbers = leaves + self._shifts[np.searchsorted(self._leaves, leaves, side="right") - 1]
        return rows

    def of(self, rows: Numbers) -> Numbers:
        """Leaves of some rows."""
        leaves: Numbers = rows - self._shifts[self._order[np.searchsorted(self._rows, rows, side="right") - 1]]
        return leaves
