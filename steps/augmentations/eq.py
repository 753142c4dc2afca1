"""Microphones and loudspeakers: a bumpy frequency response, sometimes with the bass or the treble missing.

The phase is left alone, so that nothing moves; the response is smooth, so that nothing rings for long.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import fft

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio

__all__ = ["apply", "draw"]

_POINTS: Final = 9
_RANGE_DB: Final = 7.0
_LOWEST_HZ: Final = 60.0
_LIMITED_SHARE: Final = 0.25
_LOW_CUT_HZ: Final = (80.0, 400.0)
_HIGH_CUT_HZ: Final = (3_000.0, 7_000.0)
_SLOPE_DB_PER_OCTAVE: Final = 36.0
_DEEPEST_DB: Final = -60.0
_RINGING_SAMPLES: Final = SAMPLE_RATE_HZ // 20


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters: ``gains_db`` at 9 frequencies evenly spaced by ear from 60 Hz to 8 kHz, ``low_hz``, ``high_hz``."""
    limited = rng.random(2) < _LIMITED_SHARE
    low, high = float(np.exp(rng.uniform(*np.log(_LOW_CUT_HZ)))), float(rng.uniform(*_HIGH_CUT_HZ))
    return {
        "gains_db": rng.uniform(-_RANGE_DB, _RANGE_DB, _POINTS).round(2).tolist(),
        "low_hz": round(low, 1) if limited[0] else 0.0,
        "high_hz": round(high, 1) if limited[1] else SAMPLE_RATE_HZ / 2,
    }


def apply(
    audio: Audio,
    rng: np.random.Generator,  # noqa: ARG001 - the table's signature
    *,
    gains_db: list[float],
    low_hz: float,
    high_hz: float,
) -> Audio:
    """Audio ``[n]`` through the response; below ``low_hz`` and above ``high_hz`` it falls by 36 dB an octave."""
    size = fft.next_fast_len(len(audio) + _RINGING_SAMPLES, real=True)
    octaves, points = _octaves(size), np.linspace(0.0, np.log2(SAMPLE_RATE_HZ / 2 / _LOWEST_HZ), len(gains_db))
    decibels = np.interp(octaves, points, gains_db)
    if low_hz > _LOWEST_HZ:
        decibels -= _SLOPE_DB_PER_OCTAVE * np.maximum(np.log2(low_hz / _LOWEST_HZ) - octaves, 0.0)
    if high_hz < SAMPLE_RATE_HZ / 2:
        decibels -= _SLOPE_DB_PER_OCTAVE * 2.0 * np.maximum(octaves - np.log2(high_hz / _LOWEST_HZ), 0.0)
    response = np.exp(np.maximum(decibels, _DEEPEST_DB) * (np.log(10.0) / 20.0)).astype(np.float32)
    return np.asarray(fft.irfft(fft.rfft(audio, size) * response, size)[: len(audio)], np.float32)


@lru_cache(maxsize=4)
def _octaves(size: int) -> npt.NDArray[np.float64]:
    """Octaves above the lowest point of each bin of a transform."""
    frequencies = np.maximum(fft.rfftfreq(size, 1.0 / SAMPLE_RATE_HZ), 1.0)
    octaves: npt.NDArray[np.float64] = np.log2(frequencies / _LOWEST_HZ)
    return octaves
