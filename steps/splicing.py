"""Cutting and joining sounds."""

from __future__ import annotations

from typing import Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio, gain

__all__ = ["add_at", "cut", "draw_gap", "find_piece", "find_word", "fit"]

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_FADE_SAMPLES: Final = SAMPLE_RATE_HZ // 200
_SEARCH_FRAMES: Final = 20
_TRIM_DB: Final = -35.0
_MARGIN_FRAMES: Final = 3
_GAP_S: Final = (0.03, 0.4)
_LONG_GAP_S: Final = (0.4, 1.5)
_LONG_GAP_SHARE: Final = 0.15


def add_at(canvas: Audio, sound: Audio, *, start: int) -> None:
    """Add what of a sound lies within the canvas, in place."""
    first, end = max(start, 0), min(start + len(sound), len(canvas))
    if end > first:
        canvas[first:end] += sound[first - start : end - start]


def fit(audio: Audio, *, n_samples: int) -> Audio:
    """Exactly so many samples: what is beyond is cut, what is missing is silence."""
    return np.pad(audio[:n_samples], (0, max(0, n_samples - len(audio)))).astype(np.float32, copy=False)


def draw_gap(rng: np.random.Generator) -> int:
    """Samples of silence between two utterances."""
    limits = _LONG_GAP_S if rng.random() < _LONG_GAP_SHARE else _GAP_S
    return round(float(rng.uniform(*limits)) * SAMPLE_RATE_HZ)


def find_piece(audio: Audio, rng: np.random.Generator, *, n_samples: int) -> tuple[int, int] | None:
    """Where to cut a piece of about ``n_samples`` out of speech: where it is quiet within 0.1 s.

    Returns:
        Its first sample and the one after its last; None if the speech is no longer than that.
    """
    if len(audio) <= n_samples:
        return None
    energy = _frame_energy(audio)

    def quietest(near: int) -> int:
        first = min(max(0, near // _FRAME_SAMPLES - _SEARCH_FRAMES // 2), len(energy) - 1)
        return (first + int(np.argmin(energy[first : first + _SEARCH_FRAMES]))) * _FRAME_SAMPLES

    start = quietest(int(rng.integers(0, len(audio) - n_samples)))
    return start, max(quietest(start + n_samples), start + n_samples // 2)


def find_word(audio: Audio) -> tuple[int, int] | None:
    """Where a recorded word is: 30 ms more than from the first to the last 10 ms above -35 dB of the loudest 10 ms.

    Returns:
        Its first sample and the one after its last; None for silence.
    """
    energy = _frame_energy(audio)
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * gain(_TRIM_DB) ** 2)
    if not len(loud):
        return None
    start = max(0, int(loud[0]) - _MARGIN_FRAMES) * _FRAME_SAMPLES
    return start, min(len(audio), (int(loud[-1]) + 1 + _MARGIN_FRAMES) * _FRAME_SAMPLES)


def cut(audio: Audio, part: tuple[int, int]) -> Audio:
    """A copy of samples ``part[0]`` to ``part[1]``, which begins and ends softly, within 5 ms."""
    faded = audio[part[0] : part[1]].copy()
    fade = np.linspace(0.0, 1.0, min(_FADE_SAMPLES, len(faded)), dtype=np.float32)
    faded[: len(fade)] *= fade
    faded[len(faded) - len(fade) :] *= fade[::-1]
    return faded


def _frame_energy(audio: Audio) -> Audio:
    frames = audio[: len(audio) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    energy: Audio = np.einsum("ij,ij->i", frames, frames)
    return energy
