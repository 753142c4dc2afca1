"""Recurrent layers one after the other, of any kind: what `gru`, `lstm` and `rnn` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from models.body import Frames, Memory, stack_frames

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """One member.

    Args:
        frames: what it gets.
        layer_size: hidden units of a layer.
        n_blocks: layers.
        dropout_prob: half of it between the layers.
        kind: of layer: ``nn.GRU``, ``nn.LSTM`` or ``nn.RNN``.
        run: a layer over steps ``[b, t, f]`` -> ``[b, t, h]``; its state goes through the memory.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        layer_size: int,
        n_blocks: int,
        dropout_prob: float,
        kind: Callable[..., nn.RNNBase],
        run: Callable[[Any, Tensor, Memory], Tensor],
    ) -> None:
        super().__init__()
        self.stride = frames.stride
        widths = [frames.n_features * frames.stride, *[layer_size] * n_blocks]
        self.layers = nn.ModuleList(kind(width, layer_size, batch_first=True) for width in widths[:-1])
        self.between = nn.Dropout(dropout_prob / 2)
        self._run = run

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> hidden states ``[b, h, t / stride]``."""
        x = stack_frames(frames, self.stride)
        for number, layer in enumerate(self.layers):
            x = self._run(layer, self.between(x) if number else x, memory)
        return x.transpose(1, 2)
