"""QuartzNet: Kriman et al. 2020, https://arxiv.org/abs/1910.10261.

Blocks of time-channel separable convolutions (depth-wise over time, then point-wise, batch norm, rectifier) with a
point-wise convolution and batch norm as the residual path, added before the last rectifier; a separable convolution
before them and a point-wise one behind. Modules of a block are repeated twice, where the paper has five. Kernels grow
from block to block as the paper's 33, 39, 51, 63 and 75 do, and are scaled to the window. Causal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor, nn

from models.body import Frames, Memory, stack_frames

__all__ = ["QuartzNet"]

_KERNELS: Final = (33, 39, 51, 63, 75, 87)
_REPEATS: Final = 2


class QuartzNet(nn.Module):
    """All members as one grouped network.

    Args:
        frames: what it gets.
        layer_size: channels of each member.
        n_blocks: blocks.
        members: networks side by side.
        activation: after each batch norm but the residual's.
        dropout_prob: half of it after each activation.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        layer_size: int,
        n_blocks: int,
        members: int,
        activation: Callable[[Tensor], Tensor],
        dropout_prob: float,
    ) -> None:
        super().__init__()
        self.stride, self._activation = frames.stride, activation
        channels = layer_size * members
        kernels = _KERNELS[:n_blocks]
        per_kernel = frames.reach / (kernels[0] + _REPEATS * sum(kernels))
        first, *reaches = (max(1, int(kernel * per_kernel)) for kernel in (kernels[0], *kernels))
        # Before the first depth-wise layer the features are mixed into channels: those of a front end that is
        # itself a network have no order, and stacked frames are many.
        self.stem = nn.Conv1d(frames.n_features * frames.stride, channels, 1, bias=False)
        self.first = _Separable(channels, first, members)
        self.blocks = nn.ModuleList(_Block(channels, reach, members, activation, dropout_prob / 2) for reach in reaches)
        self.final = nn.Conv1d(channels, channels, 1, groups=members, bias=False)
        self.final_norm = nn.BatchNorm1d(channels)
        self.between = nn.Dropout1d(dropout_prob / 2)

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, c, t / stride]``."""
        x = self.stem(stack_frames(frames, self.stride).transpose(1, 2))
        x = self.between(self._activation(self.first(x, memory)))
        for block in self.blocks:
            x = block(x, memory)
        final: Tensor = self._activation(self.final_norm(self.final(x)))
        return final


class _Separable(nn.Module):
    """Depth-wise convolution over time, point-wise convolution, batch norm."""

    def __init__(self, channels: int, reach: int, members: int) -> None:
        super().__init__()
        self.reach = reach
        self.over_time = nn.Conv1d(channels, channels, reach + 1, groups=channels, bias=False)
        self.mix = nn.Conv1d(channels, channels, 1, groups=members, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, c, t]`` and the frames before it -> ``[b, c, t]``."""
        line = memory.line(x, keep=self.reach, dim=2)
        y: Tensor = self.norm(self.mix(self.over_time(line)))
        return y


class _Block(nn.Module):
    """Separable convolutions beside a point-wise residual path."""

    def __init__(
        self, channels: int, reach: int, members: int, activation: Callable[[Tensor], Tensor], dropout_prob: float
    ) -> None:
        super().__init__()
        self.modules_ = nn.ModuleList(_Separable(channels, reach, members) for _ in range(_REPEATS))
        self.residual = nn.Conv1d(channels, channels, 1, groups=members, bias=False)
        self.residual_norm = nn.BatchNorm1d(channels)
        self.between = nn.Dropout1d(dropout_prob)
        self._activation, self._reach = activation, reach * _REPEATS

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, c, t]`` -> ``[b, c, t]``."""
        y = x
        for number, module in enumerate(self.modules_):
            y = module(self.between(self._activation(y)) if number else y, memory)
        residual = self.residual_norm(self.residual(memory.crop(x, reach=self._reach, dim=2)))
        out: Tensor = self.between(self._activation(y + residual))
        return out
