"""Levels. Audio inside the pipeline's signal processing is float32, full scale 1."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["Audio", "active_rms", "from_int16", "gain", "to_int16"]

Audio = npt.NDArray[np.float32]

_INT16_SCALE: Final = 32768.0
_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50
_ACTIVE_DB: Final = -25.0


def gain(decibels: float) -> float:
    """Amplitude factor of a level in dB."""
    return float(10.0 ** (decibels / 20.0))


def active_rms(audio: Audio) -> float:
    """Root mean square of the parts where something sounds: 20 ms frames at most 25 dB below the loudest.

    Pauses do not count, so that a word keeps its level however much silence surrounds it. 0 for silence.
    """
    n_frames = len(audio) // _FRAME_SAMPLES
    if n_frames == 0:
        return float(np.sqrt(np.square(audio, dtype=np.float64).mean())) if len(audio) else 0.0
    frames = audio[: n_frames * _FRAME_SAMPLES].reshape(n_frames, _FRAME_SAMPLES)
    energy = np.einsum("ij,ij->i", frames, frames) / _FRAME_SAMPLES
    return float(np.sqrt(energy[energy >= energy.max() * gain(_ACTIVE_DB) ** 2].mean()))


def from_int16(samples: npt.NDArray[np.int16]) -> Audio:
    """Int16 samples at full scale 1."""
    return samples.astype(np.float32) / np.float32(_INT16_SCALE)


def to_int16(audio: Audio) -> npt.NDArray[np.int16]:
    """Rounded to int16; what is beyond full scale is clipped."""
    scaled = np.rint(audio * np.float32(_INT16_SCALE))
    return np.asarray(np.clip(scaled, -_INT16_SCALE, _INT16_SCALE - 1), np.int16)
