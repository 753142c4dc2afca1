"""State that is carried by hand, so that a graph in any language can carry it.

Every module of a detector maps ``(x, state) -> (y, next_state)``. A state is one float32 vector per stream,
``[b, s]``, holding all that the module remembers; a container concatenates the vectors of its parts. Feeding a signal
whole, or in pieces of any number of hops, gives the same output. There is no hidden buffer anywhere.

Letters: ``b`` batch (streams), ``k`` hops of 80 ms, ``t`` frames, ``r`` frames in a hop, ``f`` features,
``c`` channels, ``s`` state.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

__all__ = ["FrontEnd", "Head", "settle", "split_state"]


class FrontEnd(Protocol):
    """Audio to features.

    Attributes:
        n_features: ``f``.
        frames_per_hop: ``r``.
        state_size: ``s``.
        receptive_field_samples: past samples that can change a feature.
    """

    n_features: int
    frames_per_hop: int
    state_size: int
    receptive_field_samples: int

    def __call__(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]`` (float32 at int16 scale), state ``[b, s]`` -> features ``[b, k*r, f]``, next state."""
        ...


class Head(Protocol):
    """Features to one logit per hop.

    Attributes:
        window_frames: frames that training sees; the last of them is the newest.
        window_hops: hops that are pooled over.
        state_size: ``s``.
    """

    window_frames: int
    window_hops: int
    state_size: int

    def __call__(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[b, k*r, f]``, state ``[b, s]`` -> logits ``[b, k]``."""
        ...

    def score_window(self, features: Tensor) -> Tensor:
        """Features ``[b, window_frames, f]`` -> logits ``[b, members]`` at the end of the window, for training."""
        ...


def split_state(state: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """Cut ``[b, s]`` into tensors ``[b, *shape]``; the shapes' products add up to ``s``."""
    sizes = [int(torch.Size(shape).numel()) for shape in shapes]
    parts = torch.split(state, sizes, dim=1)
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


@torch.no_grad()
def settle(module: nn.Module, quiet: Tensor, *, state_size: int, repeats: int = 1) -> Tensor:
    """State after long digital silence, ``[1, s]``.

    Args:
        module: maps ``(x, state) -> (y, next_state)``.
        quiet: ``[1, ...]``, what the module gets as input in silence, long enough to fill its receptive field.
        state_size: ``s``.
        repeats: how often to feed it, for recurrent modules that only converge.
    """
    state = quiet.new_zeros(1, state_size)
    for _ in range(repeats):
        _, state = module(quiet, state)
    return state
