"""The form of the frames that a head gets, and how frames of several front ends become those of one.

Joined front ends keep what each has heard by the end of a hop in that hop: the finest one's frames set the pace, a
coarser one's are repeated. So an embedding of 0.8 s is beside the newest of the finer frames, not beside the ones in
its middle: to delay those would align them better and answer later, and the heads pool over time anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FrameForm", "join_forms", "join_frames"]


@dataclass(frozen=True, kw_only=True)
class FrameForm:
    """What a head must know of its input.

    Attributes:
        n_features: ``f``, values in a frame.
        frames_per_hop: ``r``, frames every 80 ms.
        context_frames: frames that a head looks at, and that are stored for training.
    """

    n_features: int
    frames_per_hop: int
    context_frames: int


def join_forms(forms: Sequence[FrameForm]) -> FrameForm:
    """The form of joined frames: at the pace of the finest, as long as the shortest; of a single one its own.

    Args:
        forms: each ``frames_per_hop`` divides the largest.
    """
    if len(forms) == 1:
        return forms[0]
    finest = max(form.frames_per_hop for form in forms)
    hops = min(form.context_frames // form.frames_per_hop for form in forms)
    return FrameForm(
        n_features=sum(form.n_features for form in forms), frames_per_hop=finest, context_frames=hops * finest
    )


def join_frames(frames: Sequence[Tensor], forms: Sequence[FrameForm]) -> Tensor:
    """Frames ``[b, k*r, f]`` of each of the same hops -> ``[b, k * finest r, sum of f]``."""
    if len(frames) == 1:
        return frames[0]
    finest = max(form.frames_per_hop for form in forms)
    parts = [_repeat(x, finest // form.frames_per_hop) for x, form in zip(frames, forms, strict=True)]
    return torch.cat(parts, dim=2)


def _repeat(frames: Tensor, times: int) -> Tensor:
    """Each frame of ``[b, t, f]`` so many times in a row."""
    return frames if times == 1 else frames.unsqueeze(2).expand(-1, -1, times, -1).flatten(1, 2)
