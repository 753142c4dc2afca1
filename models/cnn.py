"""Convolutional network: Sainath, Parada 2015, https://www.isca-archive.org/interspeech_2015/sainath15b_interspeech.html.

``cnn-trad-fpool3``: convolutions over time and frequency, a maximum over frequency behind the first, then a linear and
a fully connected layer for each frame. The first strides over time where frames are short, as the paper's
``cnn-tstride`` do. Kernels are about as long as the paper's, 200 and 100 ms, where the front end's frames allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from models.body import Frames, Memory

__all__ = ["Cnn"]

_FIRST_BANDS: Final = 8
_BANDS: Final = 4
_POOLED_WIDTH: Final = 11  # of the paper's 33, pooled by 3
_LOW_RANK: Final = 32


class Cnn(nn.Module):
    """All members as one grouped network.

    Args:
        frames: what it gets.
        layer_size: maps of a convolution; the fully connected layer has twice as many units.
        n_blocks: convolutions.
        members: networks side by side.
        activation: after the convolutions and the fully connected layer.
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
        first = (frames.reach // 6 + 2) * frames.stride
        later = frames.reach // 12 + 2
        self._reaches = [first - frames.stride, *[later - 1] * (n_blocks - 1)]
        width = frames.n_features - _FIRST_BANDS + 1
        self.convolutions = nn.ModuleList([nn.Conv2d(1, channels, (first, _FIRST_BANDS), stride=(frames.stride, 1))])
        self.pool = nn.MaxPool2d((1, width // _POOLED_WIDTH))
        width //= width // _POOLED_WIDTH
        for _ in range(n_blocks - 1):
            bands = min(_BANDS, width)
            self.convolutions.append(nn.Conv2d(channels, channels, (later, bands), groups=members))
            width -= bands - 1
        self.linear = nn.Conv1d(channels * width, _LOW_RANK * members, 1, groups=members)
        self.full = nn.Conv1d(_LOW_RANK * members, 2 * channels, 1, groups=members)
        self.between = nn.Dropout(dropout_prob / 2)
        convert_conv2d_weight_memory_format(self, torch.channels_last)  # trains 1.3 times as fast

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, c, t / stride]``."""
        x = frames.unsqueeze(1)  # [b, 1, t, f]
        for number, (convolution, reach) in enumerate(zip(self.convolutions, self._reaches, strict=True)):
            x = self._activation(convolution(memory.line(x, keep=reach, dim=2)))
            x = self.between(x if number else self.pool(x))
        x = x.transpose(2, 3).flatten(1, 2)  # [b, c * width, steps]
        full: Tensor = self._activation(self.full(self.linear(x)))
        return full
