"""Pooling over the last hops, the part of a head that forgets where in its window the word was.

A head that flattens its window instead memorises the alignment of the synthetic clips: on real recordings of "computer"
and "alexa" it missed several times as many.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["max_stream", "pool_stream", "pool_window"]


def pool_window(x: Tensor) -> Tensor:
    """Whole window at once, for training: ``[b, c, t] -> [b, 2*c]``, averages first."""
    return torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)


def pool_stream(x: Tensor, past: Tensor, *, frames_per_hop: int) -> tuple[Tensor, Tensor]:
    """Windows that end at each hop.

    Args:
        x: new frames, ``[b, c, k*r]``.
        past: averages and maxima of the hops before, ``[b, 2*c, m-1]``.
        frames_per_hop: ``r``.

    Returns:
        Pooled windows ``[b, 2*c, k]``, equal to `pool_window` of the last ``m`` hops' frames, and the next ``past``.
    """
    c, keep = x.shape[1], past.shape[2]
    if frames_per_hop > 1:
        hops = torch.cat(
            [F.avg_pool1d(x, frames_per_hop), _max_pool(x, frames_per_hop, stride=frames_per_hop)], dim=1
        )  # [b, 2c, k]
    else:
        hops = torch.cat([x, x], dim=1)
    line = torch.cat([past, hops], dim=2)  # [b, 2c, m-1+k]
    averages = F.avg_pool1d(line[:, :c], keep + 1, stride=1)
    maxima = _max_pool(line[:, c:], keep + 1, stride=1)
    return torch.cat([averages, maxima], dim=1), line[:, :, -keep:] if keep else past


def max_stream(x: Tensor, past: Tensor, *, frames_per_hop: int) -> tuple[Tensor, Tensor]:
    """Maxima over the windows that end at each hop.

    Args:
        x: new frames, ``[b, c, k*r]``.
        past: maxima of the hops before, ``[b, c, m-1]``.
        frames_per_hop: ``r``.

    Returns:
        Maxima ``[b, c, k]`` and the next ``past``.
    """
    keep = past.shape[2]
    hops = _max_pool(x, frames_per_hop, stride=frames_per_hop) if frames_per_hop > 1 else x
    line = torch.cat([past, hops], dim=2)
    return _max_pool(line, keep + 1, stride=1), line[:, :, -keep:] if keep else past


def _max_pool(x: Tensor, size: int, *, stride: int) -> Tensor:
    """As ``F.max_pool1d``, which would freeze the number of hops in an exported file."""
    return F.max_pool2d(x.unsqueeze(2), (1, size), stride=(1, stride)).squeeze(2)
