"""ISBL, importance sampling based on loss: hard samples are drawn more often, mastered ones never vanish.

Within a pool ``C_k`` a sample is drawn with

    P(x_i) = (L_i^alpha + eps) / sum_j (L_j^alpha + eps)

where ``L_i`` is its most recent loss, 1 for all at the start. A batch takes a fixed number of rows from each pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import ConfigError

__all__ = ["LossAwareSampler"]

Rows = npt.NDArray[np.int64]


class LossAwareSampler:
    """Draws batches of row numbers over all the data.

    Args:
        pools: pool of each row, int ``[n]``.
        names: of the pools, in the order of their numbers.
        composition: rows of each pool in a batch, by name.
        rng: source of randomness.
        alpha: 0 draws uniformly, 1 in proportion to the loss.
        epsilon: keeps a row of loss zero in the game.
        loss_cap: losses above it count as this, so that rows that cannot be learnt do not run the batches.

    Attributes:
        losses: most recent loss of each row, float64 ``[n]``.

    Raises:
        ConfigError: a pool that the composition names has no rows.
    """

    def __init__(
        self,
        pools: npt.NDArray[np.integer],
        composition: Mapping[str, int],
        *,
        names: Sequence[str],
        rng: np.random.Generator,
        alpha: float,
        epsilon: float,
        loss_cap: float | None,
    ) -> None:
        self._rng, self._alpha, self._epsilon, self._cap = rng, alpha, epsilon, loss_cap
        self._shares: list[tuple[Rows, int]] = []
        for name, count in composition.items():
            rows = np.flatnonzero(pools == names.index(name)) if name in names else np.zeros(0, np.int64)
            if count and not len(rows):
                raise ConfigError(
                    f"train.batch_composition takes {count} rows of the pool {name!r}",
                    got="no rows of it in the data",
                    hint="Set its share to 0, or make some of it",
                )
            if count:
                self._shares.append((rows, count))
        self.losses = np.ones(len(pools))

    def draw(self) -> Rows:
        """Row numbers of one batch, pool after pool; a row repeats only where its pool is smaller than its share."""
        return np.concatenate([self._draw_pool(rows, count) for rows, count in self._shares])

    def update(self, rows: Rows, losses: npt.NDArray[np.floating]) -> None:
        """Remember the losses of rows that were just trained on."""
        self.losses[rows] = losses

    def probabilities(self, rows: Rows) -> npt.NDArray[np.float64]:
        """P(x_i) of the equation for the rows of one pool."""
        weights = self._weights(rows)
        shares: npt.NDArray[np.float64] = weights / weights.sum()
        return shares

    def _weights(self, rows: Rows) -> npt.NDArray[np.float64]:
        losses = self.losses[rows] if self._cap is None else np.minimum(self.losses[rows], self._cap)
        weights: npt.NDArray[np.float64] = losses**self._alpha + self._epsilon
        return weights

    def _draw_pool(self, rows: Rows, count: int) -> Rows:
        weights = self._weights(rows)
        if count > len(rows):
            drawn: Rows = self._rng.choice(rows, size=count, p=weights / weights.sum())
            return drawn
        # The largest of log(weight) + Gumbel noise are a weighted sample without replacement (Efraimidis 2006).
        keys = np.log(weights) + self._rng.gumbel(size=len(rows))
        return rows[np.argpartition(keys, len(rows) - count)[len(rows) - count :]]
