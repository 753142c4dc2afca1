"""Conformer: Gulati et al. 2020, https://arxiv.org/abs/2005.08100.

A block is half a feed-forward network, self-attention with relative positions, a convolution module (point-wise, gated
linear unit, depth-wise over time, batch norm, swish, point-wise), and the other half of the macaron, then a norm.
Causal: attention to a bounded past with cached keys, convolution over the past. Stacked frames take the place of the
convolutions that subsample time.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import StreamingAttention
from models.body import Frames, Memory, stack_frames

__all__ = ["Conformer", "HalfForward"]


class Conformer(nn.Module):
    """One member.

    Args:
        frames: what it gets.
        layer_size: model dimension; the feed-forward networks are four times as wide.
        n_blocks: blocks.
        dropout_prob: half of it before each addition.
    """

    def __init__(self, frames: Frames, *, layer_size: int, n_blocks: int, dropout_prob: float) -> None:
        super().__init__()
        self.stride = frames.stride
        convolution = max(1, frames.reach // n_blocks // 2)
        past = max(1, frames.reach // n_blocks - convolution)
        self.stem = nn.Linear(frames.n_features * frames.stride, layer_size)
        self.blocks = nn.ModuleList(
            _Block(layer_size, past=past, reach=convolution, dropout_prob=dropout_prob / 2) for _ in range(n_blocks)
        )

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, d, t / stride]``."""
        x: Tensor = self.stem(stack_frames(frames, self.stride))
        for block in self.blocks:
            x = block(x, memory)
        return x.transpose(1, 2)


class HalfForward(nn.Module):
    """Half of a macaron: norm, four times wider with swish, back; half of it is added by the caller.

    Args:
        width: model dimension.
        dropout_prob: after each of the two layers.
    """

    def __init__(self, width: int, dropout_prob: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout_prob)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, t, d]`` -> ``[b, t, d]``."""
        y: Tensor = self.dropout(self.narrow(self.dropout(F.silu(self.wide(self.norm(x))))))
        return y


class _Block(nn.Module):
    """Half, attention, convolution, half, norm."""

    def __init__(self, width: int, *, past: int, reach: int, dropout_prob: float) -> None:
        super().__init__()
        self.first, self.second = HalfForward(width, dropout_prob), HalfForward(width, dropout_prob)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = StreamingAttention(width, past=past)
        self.convolution = _Convolution(width, reach=reach)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout_prob)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, t, d]`` -> ``[b, t, d]``."""
        x = x + 0.5 * self.first(x)
        heard = self.dropout(self.attention(self.attention_norm(x), memory))
        x = memory.crop(x, reach=self.attention.past, dim=1) + heard
        local = self.dropout(self.convolution(x, memory))
        x = memory.crop(x, reach=self.convolution.reach, dim=1) + local
        y: Tensor = self.norm(x + 0.5 * self.second(x))
        return y


class _Convolution(nn.Module):
    """The convolution module."""

    def __init__(self, width: int, *, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.over_time = nn.Conv1d(width, width, reach + 1, groups=width, bias=False)
        self.time_norm = nn.BatchNorm1d(width)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, t, d]`` -> ``[b, t, d]``."""
        gated = F.glu(self.gate(self.norm(x)), dim=2).transpose(1, 2)  # [b, d, t]
        line = memory.line(gated, keep=self.reach, dim=2)
        y: Tensor = self.mix(F.silu(self.time_norm(self.over_time(line))).transpose(1, 2))
        return y
