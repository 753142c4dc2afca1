"""Temporal convolution network: Bai, Kolter, Koltun 2018, https://arxiv.org/abs/1803.01271.

A point-wise layer and a few short causal convolutions. Without the paper's residual blocks: front ends that are
themselves deep leave a head of 30 k parameters little to add. Dilated only where the front end's frames are short, and
so little of the past is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor, nn

from models.body import Frames, Memory, stack_frames

__all__ = ["Tcn"]

_KERNEL: Final = 3
_DILATIONS: Final = (1, 2, 4)


class Tcn(nn.Module):
    """All members as one grouped network.

    Args:
        frames: what it gets.
        layer_size: channels of each member.
        n_blocks: convolutions after the point-wise layer.
        members: networks side by side.
        activation: after each layer.
        dropout_prob: half of it between the layers.
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
        dilations = [_DILATIONS[n % len(_DILATIONS)] if frames.stride > 1 else 1 for n in range(n_blocks)]
        self.stem = nn.Conv1d(frames.n_features * frames.stride, channels, 1, bias=False)
        self.stem_norm = nn.BatchNorm1d(channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, _KERNEL, dilation=dilation, groups=members, bias=False)
            for dilation in dilations
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in dilations)
        self.between = nn.Dropout1d(dropout_prob / 2)
        self._reaches = [dilation * (_KERNEL - 1) for dilation in dilations]

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, c, t / stride]``."""
        x = stack_frames(frames, self.stride).transpose(1, 2)
        x = self._activation(self.stem_norm(self.stem(x)))
        for convolution, norm, reach in zip(self.convolutions, self.norms, self._reaches, strict=True):
            line = memory.line(self.between(x), keep=reach, dim=2)
            x = self._activation(norm(convolution(line)))
        return x
