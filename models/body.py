"""What an architecture is: the part of a head that turns frames into channels, one file each.

A body maps standardised frames ``[b, t, f]`` to ``[b, c, t / stride]``; ``models/head.py`` puts the rest around it. The
same code serves two cases. In a stream each layer puts the frames before in front of the new ones. In a window, as in
training, there are none before, so a frame of output exists only where all its inputs do: training sees what serving
sees. Recurrent layers cannot have that, and begin a window as a stream begins: with a state of zeros, and with zeros
before the frames that a layer below looks back to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Body", "Frames", "Memory", "stack_frames"]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames that a body gets.

    Attributes:
        n_features: ``f``.
        stride: frames that one step takes together.
        steps_per_hop: steps every 80 ms.
        reach: steps of the past that a step of output may need, so that the window has room for pooling; an
            architecture with many blocks may take a few more.
    """

    n_features: int
    stride: int
    steps_per_hop: int
    reach: int


class Memory:
    """What the layers of a network remember: taken in the order in which they ask, put back in the same order.

    Args:
        pasts: what they put back before, ``[b, ...]`` each; None in a window.

    Attributes:
        nexts: what they have put back so far.
    """

    def __init__(self, pasts: Sequence[Tensor] | None = None) -> None:
        self.is_window = pasts is None
        self._pasts: Iterator[Tensor] = iter(pasts or ())
        self.nexts: list[Tensor] = []

    def line(self, x: Tensor, *, keep: int, dim: int, from_zeros: bool = False) -> Tensor:
        """Frames with the ``keep`` frames before in front of them; in a window, the frames alone.

        Args:
            x: new frames, along ``dim``.
            keep: frames of the past that a layer needs.
            dim: 1 or 2.
            from_zeros: in a window, too, with frames in front: zeros, as in a new stream. For layers below a
                recurrent one, which so takes the same steps in both; its first answers are to be cropped.
        """
        if keep == 0:
            return x
        if self.is_window:
            line = torch.cat([torch.zeros_like(x.narrow(dim, 0, keep)), x], dim=dim) if from_zeros else x
        else:
            line = torch.cat([next(self._pasts), x], dim=dim)
        self.nexts.append(line[:, -keep:] if dim == 1 else line[:, :, -keep:])
        return line

    def crop(self, x: Tensor, *, reach: int, dim: int) -> Tensor:
        """The frames that have an output behind a layer that looks ``reach`` frames back: in a stream all."""
        if not self.is_window or reach == 0:
            return x
        return x[:, reach:] if dim == 1 else x[:, :, reach:]

    def hidden(self, x: Tensor, size: int) -> Tensor:
        """Hidden state ``[b, size]`` to go on from; zeros in a window of ``x``."""
        return x.new_zeros(x.shape[0], size) if self.is_window else next(self._pasts)

    def keep(self, hidden: Tensor) -> None:
        """Put back a hidden state."""
        self.nexts.append(hidden)


class Body(Protocol):
    """An architecture.

    Attributes:
        stride: frames that one step takes together; divides the frames of a hop.
    """

    stride: int

    def __call__(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames ``[b, t, f]`` -> channels ``[b, c, steps]``, the members' one after the other."""
        ...


def stack_frames(frames: Tensor, stride: int) -> Tensor:
    """Frames ``[b, t, f]`` -> steps ``[b, t / stride, stride * f]``."""
    return frames.reshape(frames.shape[0], -1, stride * frames.shape[2]) if stride > 1 else frames
