"""What is done to a batch of features before the network sees it; nothing here changes what is stored."""

from __future__ import annotations

import torch
from torch import Tensor

from steps.settings import SpecAugment

__all__ = ["disturb", "mask_features", "mix_rows"]


def disturb(batch: Tensor, *, noise: float, masks: SpecAugment | None, mean: Tensor, deviation: Tensor) -> Tensor:
    """Noise on each value, then stretches hidden.

    Args:
        batch: ``[b, t, f]``.
        noise: in standard deviations of each feature.
        masks: None for none.
        mean: of the features, ``[f]``.
        deviation: of the features, ``[f]``.
    """
    batch = torch.addcmul(batch, torch.randn_like(batch), noise * deviation)
    return batch if masks is None else mask_features(batch, masks, filling=mean)


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
