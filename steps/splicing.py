"""Cutting and joining sounds."""

from __future__ import annotations

from typing import Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio, gain

__all__ = ["add_at", "cut_piece", "trim"]

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_FADE_SAMPLES: Final = SAMPLE_RATE_HZ // 200
_SEARCH_FRAMES: Final = 20
_TRIM_DB: Final = -35.0
_MARGIN_FRAMES: Final = 3


def add_at(canvas: Audio, sound: Audio, *, start: int) -> None:
    """Add what of a sound lies within the canvas, in place."""
    first, end = max(start, 0), min(start + len(sound), len(canvas))
    if end > first:
        canvas[first:end] += sound[first - start : end - start]


def cut_piece(audio: Audio, rng: np.random.Generator, *, n_samples: int) -> Audio:
    """A piece of about ``n_samples`` of speech, cut where it is quiet within 0.1 s, and faded."""
    if len(audio) <= n_samples:
        return audio
    energy = _frame_energy(audio)

    def quietest(near: int) -> int:
        first = min(max(0, near // _FRAME_SAMPLES - _SEARCH_FRAMES // 2), len(energy) - 1)
        return (first + int(np.argmin(energy[first : first + _SEARCH_FRAMES]))) * _FRAME_SAMPLES

    start = quietest(int(rng.integers(0, len(audio) - n_samples)))
    return _faded(audio[start : max(quietest(start + n_samples), start + n_samples // 2)])


def trim(audio: Audio) -> Audio:
    """A recorded word without what surrounds it: 30 ms more than from the first to the last 10 ms above -35 dB.

    The level is that of the loudest 10 ms; the edges are faded.
    """
    energy = _frame_energy(audio)
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * gain(_TRIM_DB) ** 2)
    if not len(loud):
        return audio
    start = max(0, int(loud[0]) - _MARGIN_FRAMES) * _FRAME_SAMPLES
    return _faded(audio[start : (int(loud[-1]) + 1 + _MARGIN_FRAMES) * _FRAME_SAMPLES])


def _faded(audio: Audio) -> Audio:
    """A copy that begins and ends softly, within 5 ms."""
    faded = audio.copy()
    fade = np.linspace(0.0, 1.0, min(_FADE_SAMPLES, len(faded)), dtype=np.float32)
    faded[: len(fade)] *= fade
    faded[len(faded) - len(fade) :] *= fade[::-1]
    return faded


def _frame_energy(audio: Audio) -> Audio:
    frames = audio[: len(audio) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    energy: Audio = np.einsum("ij,ij->i", frames, frames)
    return energy
