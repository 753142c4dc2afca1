"""Stored features as a head gets them: those of one front end, or of several joined frame by frame.

What a head listens to is named by its front ends, joined by ``+``: so its folders and its figures are named, too. A
head that brings its front ends along (`steps.end_to_end`) listens to `AUDIO`: windows, a sample being a frame of one
value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.frames import FrameForm, join_forms
from models.frontends.table import FRONT_ENDS
from nanowakeword.timing import HOP_SAMPLES
from steps.dataset import Rows
from steps.store import RowArray, RowReader

__all__ = ["AUDIO", "feature_rows", "frame_form", "input_name"]

AUDIO: Final = "audio"

_JOINT: Final = "+"


def input_name(frontends: Sequence[str]) -> str:
    """Name of what a head listens to."""
    return _JOINT.join(frontends)


def feature_rows(data: RowReader, name: str) -> Rows:
    """Features of each row of a group of the features' store.

    Args:
        data: the group; for `AUDIO` one of the windows' store.
        name: of `input_name`, or `AUDIO`.
    """
    if name == AUDIO:
        return _Samples(data[AUDIO])
    arrays = [data[frontend] for frontend in name.split(_JOINT)]
    return arrays[0] if len(arrays) == 1 else _Joined(arrays, [_form(array, of) for array, of in _named(data, name)])


def frame_form(data: RowReader, name: str) -> FrameForm:
    """Form of the frames of `feature_rows`."""
    if name == AUDIO:
        return FrameForm(n_features=1, frames_per_hop=HOP_SAMPLES, context_frames=data[AUDIO].shape[1])
    return join_forms([_form(array, frontend) for array, frontend in _named(data, name)])


class _Samples:
    """Windows ``[n, samples]`` as features ``[n, samples, 1]``."""

    def __init__(self, windows: RowArray) -> None:
        self._windows = windows
        self.shape: tuple[int, ...] = (*windows.shape, 1)

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """A copy of rows ``[m, samples, 1]`` in the order asked for."""
        return self._windows.rows(indices)[:, :, None]


class _Joined:
    """As `models.frames.join_frames`, of stored frames: the last hops that all of them have."""

    def __init__(self, arrays: Sequence[RowArray], forms: Sequence[FrameForm]) -> None:
        self._arrays, self._forms, self._form = arrays, forms, join_forms(forms)
        self.shape: tuple[int, ...] = (len(arrays[0]), self._form.context_frames, self._form.n_features)

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """A copy of rows ``[m, t, f]`` in the order asked for."""
        finest = self._form.frames_per_hop
        parts = []
        for array, form in zip(self._arrays, self._forms, strict=True):
            times = finest // form.frames_per_hop
            frames = array.rows(indices)[:, -(self._form.context_frames // times) :]
            parts.append(np.repeat(frames, times, axis=1))
        return np.concatenate(parts, axis=2)


def _named(data: RowReader, name: str) -> list[tuple[RowArray, str]]:
    return [(data[frontend], frontend) for frontend in name.split(_JOINT)]


def _form(array: RowArray, frontend: str) -> FrameForm:
    _, context_frames, n_features = array.shape
    # Stores of before logmel had a hop of its own do not say it.
    frames_per_hop = array.attributes.get("frames_per_hop", FRONT_ENDS[frontend].frames_per_hop)
    return FrameForm(n_features=n_features, frames_per_hop=frames_per_hop, context_frames=context_frames)
