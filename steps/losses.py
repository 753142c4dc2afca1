"""What training minimises: cross-entropy of the labels, softened or focused, and a margin on the logits beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from steps.settings import Margin

__all__ = ["HardTargets", "PoolWeights"]

_POSITIVE: Final = "positive"


class HardTargets:
    """Loss against the labels.

    Binary cross-entropy ``BCE(z, y)`` of logits ``z``. Smoothing moves the targets ``y`` towards one half (Szegedy et
    al. 2015, https://arxiv.org/abs/1512.00567). ``focal_gamma`` multiplies it by ``|sigmoid(z) - y|^gamma``, so that
    what is nearly right counts less: the focal loss (Lin et al. 2017, https://arxiv.org/abs/1708.02002), in the form
    that also takes soft targets (Li et al. 2020, https://arxiv.org/abs/2006.04388). A margin adds

        weight * (max(0, margin_pos - z)^2 of the phrase, max(0, z - margin_neg)^2 of anything else)
        + logit_reg_weight * max(0, |z| - logit_reg_margin)^2

    Which class a row belongs to is decided by its label as it was before smoothing.

    Args:
        labels: 1 for the phrase, 0 for anything else, ``[n]``.
        smoothing: moves the targets this far towards one half.
        focal_gamma: 0 for plain cross-entropy.
        margin: the second loss; None: none.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.integer],
        *,
        smoothing: float,
        focal_gamma: float = 0.0,
        margin: Margin | None = None,
    ) -> None:
        self._labels = torch.from_numpy(labels.astype(np.int8))
        self._smoothing, self._gamma, self._margin = smoothing, focal_gamma, margin

    def __call__(self, logits: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        """Logits ``[b, members]`` -> losses ``[b]``, averaged over the members."""
        found = self._labels.index_select(0, torch.from_numpy(rows))
        labels = found.to(logits.device, torch.float32).unsqueeze(1).expand_as(logits)
        targets = labels * (1 - self._smoothing) + self._smoothing / 2 if self._smoothing else labels
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        if self._gamma:
            losses = (logits.sigmoid() - targets).abs() ** self._gamma * losses
        if (margin := self._margin) is not None:
            short = torch.where(labels > 0, margin.margin_pos - logits, logits - margin.margin_neg)
            losses = losses + margin.weight * F.relu(short) ** 2
            losses = losses + margin.logit_reg_weight * F.relu(logits.abs() - margin.logit_reg_margin) ** 2
        return losses.mean(dim=1)


class PoolWeights:
    """What each row of a batch weighs, by its pool; a batch has its pools in the order of the composition.

    Args:
        composition: rows of each pool in a batch, by name.
        neighbour_weight: of the rows of the pool ``neighbour``; all others weigh 1.
        loss_bias: share in the loss of what is not the phrase, however many rows it has: the loss is then
            ``bias * mean of the others + (1 - bias) * mean of the phrase``. None: each row weighs the same.

    Attributes:
        is_negative: which rows of a batch are not the phrase, ``[b]``.
    """

    def __init__(
        self, composition: Mapping[str, int], *, neighbour_weight: float = 1.0, loss_bias: float | None = None
    ) -> None:
        counts = {pool: count for pool, count in composition.items() if count}
        self._weights = torch.cat(
            [torch.full((n,), neighbour_weight if pool == "neighbour" else 1.0) for pool, n in counts.items()]
        )
        self.is_negative = torch.cat([torch.full((n,), pool != _POSITIVE) for pool, n in counts.items()])
        if loss_bias is not None:
            share = self.is_negative.float().mean()
            self._weights *= torch.where(self.is_negative, loss_bias / share, (1 - loss_bias) / (1 - share))

    def __call__(self, *, negative_weight: float = 1.0) -> Tensor:
        """Weights ``[b]``, those of the rows that are not the phrase times ``negative_weight``."""
        if negative_weight == 1.0:
            return self._weights
        return torch.where(self.is_negative, self._weights * negative_weight, self._weights)
