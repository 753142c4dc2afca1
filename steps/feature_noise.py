"""What is done to a batch of features before the network sees it; nothing here changes what is stored."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from steps.settings import SpecAugment

__all__ = ["FeatureNoise", "mask_features", "mix_rows"]

# Length of the table of noise.
_BATCHES: Final = 4


class FeatureNoise:
    """Normal noise on each value of a batch, out of a table that is drawn once.

    Each batch takes a stretch of the table that begins at any of its frames, as evolution strategies share their noise
    (Salimans et al. 2017, https://arxiv.org/abs/1703.03864): to draw half a million numbers at each step took half as
    long as the network.

    Args:
        deviations: of the noise on each feature, ``[f]``.
        batch_frames: frames in a batch, those of all of its rows.
        seed: of the table.
    """

    def __init__(self, deviations: Tensor, *, batch_frames: int, seed: int | list[int]) -> None:
        shape = (_BATCHES * batch_frames, len(deviations))
        table = torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
        self._table = table.to(deviations.device).mul_(deviations)

    def add_to(self, batch: Tensor) -> None:
        """Disturb a batch ``[b, t, f]`` in place; where its noise begins comes from torch's generator."""
        frames = batch.shape[0] * batch.shape[1]
        first = int(torch.randint(len(self._table) - frames + 1, ()))
        batch.add_(self._table[first : first + frames].view_as(batch))


def mask_features(batch: Tensor, masks: SpecAugment, *, filling: Tensor) -> Tensor:
    """SpecAugment (Park et al. 2019, https://arxiv.org/abs/1904.08779): stretches of frames and of features hidden.

    Args:
        batch: ``[b, t, f]``.
        masks: how many, and how long at most; each is 0 to that many long, anywhere.
        filling: what hidden values become, ``[f]``, for example the features' mean.
    """
    hidden = _stretches(batch, axis=1, count=masks.time_masks, longest=masks.frames).unsqueeze(2)
    hidden = hidden | _stretches(batch, axis=2, count=masks.feature_masks, longest=masks.features).unsqueeze(1)
    return torch.where(hidden, filling.to(batch.dtype), batch)


def mix_rows(n_rows: int, *, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2017, https://arxiv.org/abs/1710.09412): which row each is mixed with, and how much stays.

    Returns:
        Partners int64 ``[b]`` and shares ``[b]`` of the row itself, at least one half, from Beta(alpha, alpha): so the
        loss of the mixture says more of the row itself than of its partner, and the sampler may remember it as its own.
    """
    share = torch.distributions.Beta(alpha, alpha).sample((n_rows,))
    return torch.randperm(n_rows), torch.maximum(share, 1 - share)


def _stretches(batch: Tensor, *, axis: int, count: int, longest: int) -> Tensor:
    """Which places of an axis lie in a mask, ``[b, places]``, drawn for each row."""
    size = batch.shape[axis]
    length = torch.randint(0, min(longest, size) + 1, (len(batch), count), device=batch.device)
    first = (torch.rand(len(batch), count, device=batch.device) * (size - length + 1)).long()
    place = torch.arange(size, device=batch.device)
    inside = (place >= first.unsqueeze(2)) & (place < (first + length).unsqueeze(2))  # [b, count, places]
    return inside.any(dim=1)
