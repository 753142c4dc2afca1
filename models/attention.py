"""Attention over a bounded past, with cached keys and values; the transformer-like architectures share it.

Scaled dot products (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762) with relative positions as in Transformer-XL
(Dai et al. 2019, https://arxiv.org/abs/1901.02860), since absolute ones would grow without end in a stream. A step
attends to itself and to the ``past`` steps before it, always as many; so distances are fixed.

A stream of any length gathers what each step sees. A window is short: all its steps look at all, and what is none of
their past is masked, which trains three times as fast.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.body import Memory

__all__ = ["StreamingAttention"]


class StreamingAttention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: model dimension.
        past: steps before itself that a step attends to.
    """

    positions: Tensor
    offsets: Tensor

    def __init__(self, width: int, *, past: int) -> None:
        super().__init__()
        self.past = past
        self._heads = next(heads for heads in (4, 2, 1) if width % heads == 0)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.position = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        # The paper's u and v: what a head asks for whatever the query, by content and by distance.
        self.content_bias = nn.Parameter(torch.zeros(self._heads, 1, width // self._heads))
        self.distance_bias = nn.Parameter(torch.zeros(self._heads, 1, width // self._heads))
        self.register_buffer("positions", _sinusoids(past, width), persistent=False)
        self.register_buffer("offsets", torch.arange(past + 1), persistent=False)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Steps ``[b, t, d]`` -> ``[b, t, d]``; in a window ``past`` fewer."""
        line = memory.line(self.key_value(x), keep=self.past, dim=1)  # [b, past + t, 2d]
        query = self.query(memory.crop(x, reach=self.past, dim=1))  # [b, t, d]
        distances = self.position(self.positions).unflatten(1, (self._heads, -1)).permute(1, 2, 0)  # [h, d / h, span]
        look = self._look_at_all if memory.is_window else self._look_back
        y: Tensor = self.out(look(query, line, distances).reshape(x.shape[0], -1, x.shape[2]))
        return y

    def _look_back(self, query: Tensor, line: Tensor, distances: Tensor) -> Tensor:
        """Queries ``[b, t, d]``, keys and values ``[b, past + t, 2d]`` -> ``[b, t, h, 1, d / h]``."""
        b, heads, span = query.shape[0], self._heads, self.past + 1
        starts = torch.arange(query.shape[1], device=query.device)
        seen = line.index_select(1, (starts[:, None] + self.offsets).flatten())  # [b, t * span, 2d]
        keys, values = seen.reshape(b, -1, span, 2, heads, query.shape[2] // heads).permute(3, 0, 1, 4, 2, 5)
        query = query.reshape(b, -1, heads, 1, query.shape[2] // heads)
        logits = (query + self.content_bias) @ keys.transpose(3, 4) + (query + self.distance_bias) @ distances
        weights = torch.softmax(logits / math.sqrt(query.shape[4]), dim=4)  # [b, t, h, 1, span]
        heard: Tensor = weights @ values
        return heard

    def _look_at_all(self, query: Tensor, line: Tensor, distances: Tensor) -> Tensor:
        """As `_look_back`, -> ``[b, t, h, d / h]``."""
        query = query.unflatten(2, (self._heads, -1)).transpose(1, 2)  # [b, h, t, d / h]
        keys, values = line.unflatten(2, (2, self._heads, -1)).permute(2, 0, 3, 1, 4)  # [b, h, past + t, d / h]
        by_distance = _shift((query + self.distance_bias) @ distances)  # [b, h, t, past + t]
        logits = (query + self.content_bias) @ keys.transpose(2, 3) + by_distance
        weights = torch.softmax(logits / math.sqrt(query.shape[3]), dim=3)
        heard: Tensor = (weights @ values).transpose(1, 2)
        return heard


def _shift(x: Tensor) -> Tensor:
    """Row ``i`` of ``[b, h, t, span]`` from column ``i`` on: ``[b, h, t, span - 1 + t]``, minus infinity elsewhere."""
    steps, width = x.shape[2], x.shape[2] + x.shape[3] - 1
    wide = F.pad(x, (0, steps), value=-math.inf).flatten(2)  # rows of width + 1, so each begins one later than the last
    shifted: Tensor = wide[:, :, : steps * width].unflatten(2, (steps, width))
    return shifted


def _sinusoids(past: int, width: int) -> Tensor:
    """Encodings of the distances ``past`` to 0, ``[past + 1, width]``."""
    distances = torch.arange(past, -1, -1, dtype=torch.float32)[:, None]
    pairs = torch.arange(0, width, 2, dtype=torch.float32)
    angles = distances * torch.exp(pairs * (-math.log(10_000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
