"""A running mean over the frames of a stream, which knows from the first frame on what it can know.

    S(t) = (1 - s) S(t-1) + s w(t) x(t)        N(t) = (1 - s) N(t-1) + s w(t)        mean(t) = S(t) / N(t)

With all weights at one and a long past this is the usual smoother, ``m(t) = (1 - s) m(t-1) + s x(t)``. That one starts
from zero, so it is too small for as long as it remembers, and everything divided by it too large. Divided by the weight
that has come in so far (as Kingma, Ba 2014, https://arxiv.org/abs/1412.6980, correct their moments) the mean of the
first frame is that frame. Frames of weight zero change nothing but what is forgotten: so digital silence, which says
nothing of a room, counts as no past at all, and a state of zeros is the state after it.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["Smoother"]

# Keeps 0 / 0 at 0 and changes a mean by no more than that.
_LEAST: Final = 1e-9


class Smoother(nn.Module):
    """The running mean of each feature.

    Exact for any number of frames at once: within a hop it is one product with a triangle of powers of ``1 - s``, and
    so it is from hop to hop; a call of ``k`` hops makes a triangle of ``k * k``.

    Args:
        n_features: ``f``.
        frames_per_hop: ``r``.
        s: share of the newest frame, above 0 and below 1.
    """

    def __init__(self, *, n_features: int, frames_per_hop: int, s: float) -> None:
        super().__init__()
        self.state_size = 2 * n_features
        self._frames_per_hop, self._log_hop = frames_per_hop, frames_per_hop * math.log1p(-s)
        ages = torch.arange(frames_per_hop)[:, None] - torch.arange(frames_per_hop)
        within = torch.where(ages >= 0, s * (1.0 - s) ** ages.double(), 0.0)
        fading = (1.0 - s) ** torch.arange(1, frames_per_hop + 1, dtype=torch.float64)
        self.within: Tensor
        self.fading: Tensor
        self.register_buffer("within", within.float(), persistent=False)  # [r, r]
        self.register_buffer("fading", fading.float().unsqueeze(1), persistent=False)  # [r, 1]

    def forward(self, x: Tensor, weights: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Values and their weights ``[b, k*r, f]``, state ``[b, 2f]`` -> means ``[b, k*r, f]``, next state."""
        sums = torch.cat([weights * x, weights], dim=2).unflatten(1, (-1, self._frames_per_hop))  # [b, k, r, 2f]
        fresh = self.within @ sums
        ends = torch.cat([state.unsqueeze(1), fresh[:, :, -1]], dim=1)  # [b, 1 + k, 2f]
        hops = torch.arange(ends.shape[1], device=x.device)
        ages = (hops[:, None] - hops).to(x.dtype)
        ends = torch.where(ages >= 0, torch.exp(self._log_hop * ages.clamp(min=0.0)), 0.0) @ ends
        sums = (fresh + self.fading * ends[:, :-1].unsqueeze(2)).flatten(1, 2)
        total, weight = sums.chunk(2, dim=2)
        return total / (weight + _LEAST), ends[:, -1]
