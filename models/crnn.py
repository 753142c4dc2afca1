"""Convolutional recurrent network: Arik et al. 2017, https://arxiv.org/abs/1703.05390.

A convolution over time and frequency that strides in both, then gated recurrent units over time: what is local goes to
the convolution, the order of the sounds to the recurrence. Unidirectional, where the paper's own is bidirectional, and
stateful: in a stream the hidden state lives on from hop to hop. What the recurrence says while the convolution still
looks back beyond the window is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from torch import Tensor, nn

from models.body import Frames, Memory
from models.gru import run_gru

__all__ = ["Crnn"]

_BANDS: Final = 5
_WIDTH: Final = 18  # of the paper's 40 bands, with a stride of 2
_PAST_HOPS: Final = 2  # 160 ms and the newest step, as the paper's 200 ms; whole hops, so that streams begin alike


class Crnn(nn.Module):
    """One member.

    Args:
        frames: what it gets.
        layer_size: maps of the convolution, and hidden units of a recurrent layer.
        n_blocks: recurrent layers.
        activation: after the convolution.
        dropout_prob: half of it between the layers.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        layer_size: int,
        n_blocks: int,
        activation: Callable[[Tensor], Tensor],
        dropout_prob: float,
    ) -> None:
        super().__init__()
        self.stride, self._activation = frames.stride, activation
        self._reach = _PAST_HOPS * frames.steps_per_hop  # steps
        kernel = (self._reach + 1) * frames.stride
        width = frames.n_features - _BANDS + 1
        across = max(1, width // _WIDTH)
        self.convolution = nn.Conv2d(1, layer_size, (kernel, _BANDS), stride=(frames.stride, across))
        widths = [layer_size * (-(-width // across)), *[layer_size] * n_blocks]
        self.layers = nn.ModuleList(nn.GRU(width, layer_size, batch_first=True) for width in widths[:-1])
        self.between = nn.Dropout(dropout_prob / 2)

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> hidden states ``[b, h, t / stride]``."""
        past = self._reach * self.stride
        line = memory.line(frames.unsqueeze(1), keep=past, dim=2, from_zeros=True)  # [b, 1, past + t, f]
        maps = self._activation(self.convolution(line))  # [b, c, steps, width]
        x = maps.transpose(1, 2).flatten(2)
        for layer in self.layers:
            x = run_gru(cast(nn.GRU, layer), self.between(x), memory)
        return memory.crop(x, reach=self._reach, dim=1).transpose(1, 2)
