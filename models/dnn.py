"""Deep neural network: Chen, Parada, Heigold 2014, https://research.google/pubs/pub42537/.

Small-footprint keyword spotting as it began: the last quarter of a second of frames in one vector, fully connected
layers with rectifiers, an answer for each frame, smoothed over time. The smoothing is the average and the maximum over
the window. The paper's few frames of look-ahead are left out.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.body import Frames, Memory, stack_frames

__all__ = ["Dnn"]


class Dnn(nn.Module):
    """All members as one grouped network.

    Args:
        frames: what it gets.
        layer_size: units of a layer, of each member.
        n_blocks: fully connected layers.
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
        self._reach = frames.reach // 5  # 160 to 200 ms, beside the newest step
        channels = layer_size * members
        # A fully connected layer over the last steps, moved on step by step, is a convolution.
        self.first = nn.Conv1d(frames.n_features * frames.stride, channels, self._reach + 1)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, 1, groups=members) for _ in range(n_blocks - 1))
        self.between = nn.Dropout1d(dropout_prob / 2)

    def forward(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, c, t / stride]``."""
        x = stack_frames(frames, self.stride).transpose(1, 2)
        x = self._activation(self.first(memory.line(x, keep=self._reach, dim=2)))
        for layer in self.layers:
            x = self._activation(layer(self.between(x)))
        return x
