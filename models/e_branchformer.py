"""E-Branchformer: Kim et al. 2023, https://arxiv.org/abs/2210.00077.

A block is half a feed-forward network, two branches side by side, and the other half. One branch is self-attention with
relative positions, the other an MLP with convolutional gating (cgMLP: wide layer, then half of it, normalised and
convolved over time, multiplies the other half). What they say is merged by a depth-wise convolution over both together,
added to them, and a linear layer. Causal: attention to a bounded past with cached keys, convolutions over the past.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import StreamingAttention
from models.body import Frames, Memory, stack_frames
from models.conformer import HalfForward

__all__ = ["EBranchformer"]


class EBranchformer(nn.Module):
    """One member.

    Args:
        frames: what it gets.
        layer_size: model dimension; feed-forward networks are four, the gated MLP six times as wide.
        n_blocks: blocks.
        dropout_prob: half of it before each addition.
    """

    def __init__(self, frames: Frames, *, layer_size: int, n_blocks: int, dropout_prob: float) -> None:
        super().__init__()
        self.stride = frames.stride
        merge = max(1, frames.reach // n_blocks // 3)
        past = max(1, frames.reach // n_blocks - merge)
        self.stem = nn.Linear(frames.n_features * frames.stride, layer_size)
        self.blocks = nn.ModuleList(
            _Block(layer_size, past=past, merge=merge, dropout_prob=dropout_prob / 2) for _ in range(n_blocks)
        )

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, d, t / stride]``."""
        x: Tensor = self.stem(stack_frames(frames, self.stride))
        for block in self.blocks:
            x = block(x, memory)
        return x.transpose(1, 2)


class _Block(nn.Module):
    """Half, the merge of two branches that look back equally far, half, norm."""

    def __init__(self, width: int, *, past: int, merge: int, dropout_prob: float) -> None:
        super().__init__()
        self.first, self.second = HalfForward(width, dropout_prob), HalfForward(width, dropout_prob)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = StreamingAttention(width, past=past)
        self.local = _GatedMlp(width, reach=past)
        self.over_both = nn.Conv1d(2 * width, 2 * width, merge + 1, groups=2 * width)
        self.merge = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout_prob)
        self._past, self._merge = past, merge

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, t, d]`` -> ``[b, t, d]``."""
        x = x + 0.5 * self.first(x)
        far = self.dropout(self.attention(self.attention_norm(x), memory))
        near = self.dropout(self.local(x, memory))
        both = torch.cat([far, near], dim=2).transpose(1, 2)  # [b, 2d, t]
        line = memory.line(both, keep=self._merge, dim=2)
        merged = memory.crop(both, reach=self._merge, dim=2) + self.over_both(line)
        x = memory.crop(x, reach=self._past + self._merge, dim=1) + self.dropout(self.merge(merged.transpose(1, 2)))
        y: Tensor = self.norm(x + 0.5 * self.second(x))
        return y


class _GatedMlp(nn.Module):
    """MLP with convolutional gating, cgMLP: Sakuma et al. 2021, https://openreview.net/forum?id=RA-zVvZLYIy."""

    def __init__(self, width: int, *, reach: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 6 * width)
        self.gate_norm = nn.LayerNorm(3 * width)
        self.over_time = nn.Conv1d(3 * width, 3 * width, reach + 1, groups=3 * width)
        self.narrow = nn.Linear(3 * width, width)
        self._reach = reach

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, t, d]`` -> ``[b, t, d]``."""
        value, gate = F.gelu(self.wide(self.norm(x))).chunk(2, dim=2)
        line = memory.line(self.gate_norm(gate).transpose(1, 2), keep=self._reach, dim=2)
        gated = memory.crop(value, reach=self._reach, dim=1) * self.over_time(line).transpose(1, 2)
        y: Tensor = self.narrow(gated)
        return y
