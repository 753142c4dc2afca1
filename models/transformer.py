"""Transformer encoder: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

Applied to keywords as by Berg, O'Connor, Cruz 2021, https://arxiv.org/abs/2104.00769: steps of features projected to
the model dimension, then layers of self-attention and feed-forward network, each added to its input and normalised
after. Streams by attending to a bounded past with cached keys; positions are relative, and pooling over time takes the
place of the class token.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.attention import StreamingAttention
from models.body import Frames, Memory, stack_frames

__all__ = ["Transformer"]


class Transformer(nn.Module):
    """One member.

    Args:
        frames: what it gets.
        layer_size: model dimension; the feed-forward networks are four times as wide.
        n_blocks: layers.
        activation: within the feed-forward networks.
        dropout_prob: half of it before each addition.
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
        self.stride = frames.stride
        past = max(1, frames.reach // n_blocks)
        self.stem = nn.Linear(frames.n_features * frames.stride, layer_size)
        self.layers = nn.ModuleList(
            _Layer(layer_size, past=past, activation=activation, dropout_prob=dropout_prob / 2) for _ in range(n_blocks)
        )

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, d, t / stride]``."""
        x: Tensor = self.stem(stack_frames(frames, self.stride))
        for layer in self.layers:
            x = layer(x, memory)
        return x.transpose(1, 2)


class _Layer(nn.Module):
    """Attention, then a feed-forward network."""

    def __init__(self, width: int, *, past: int, activation: Callable[[Tensor], Tensor], dropout_prob: float) -> None:
        super().__init__()
        self.attention = StreamingAttention(width, past=past)
        self.attention_norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout_prob)
        self._activation = activation

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """``[b, t, d]`` -> ``[b, t, d]``."""
        heard = self.dropout(self.attention(x, memory))
        x = self.attention_norm(memory.crop(x, reach=self.attention.past, dim=1) + heard)
        y: Tensor = self.forward_norm(x + self.dropout(self.narrow(self._activation(self.wide(x)))))
        return y
