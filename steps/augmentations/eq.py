"""Rooms' corners, cases and loudspeakers: a bumpy frequency response.

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
from steps.scene import Scene

__all__ = ["LOWEST_HZ", "apply", "draw", "octaves", "shape", "tell"]

LOWEST_HZ: Final = 60.0
_POINTS: Final = 9
_RANGE_DB: Final = 7.0
_DEEPEST_DB: Final = -60.0
_RINGING_SAMPLES: Final = SAMPLE_RATE_HZ // 20
_NEPERS_PER_DB: Final = np.float32(np.log(10.0) / 20.0)


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``gains_db`` at 9 frequencies evenly spaced by ear from 60 Hz to 8 kHz."""
    return {"gains_db": rng.uniform(-_RANGE_DB, _RANGE_DB, _POINTS).round(2).tolist()}


def apply(audio: Audio, _: Scene, *, gains_db: list[float]) -> Audio:
    """Audio ``[n]`` through the response, straight between its points."""
    below, share = _between(len(audio), len(gains_db))
    points_db = np.array(gains_db, np.float32)
    return shape(audio, points_db[below] + share * np.diff(points_db)[below])


def tell(*, gains_db: list[float]) -> str:
    """In words."""
    return f"a frequency response of {min(gains_db):+.0f} to {max(gains_db):+.0f} dB"


def shape(audio: Audio, decibels: npt.NDArray[np.float32]) -> Audio:
    """Audio ``[n]`` with gains at the frequencies of `octaves`, of no less than -60 dB."""
    size = _size(len(audio))
    response = np.exp(np.maximum(decibels, np.float32(_DEEPEST_DB)) * _NEPERS_PER_DB)
    return np.asarray(fft.irfft(fft.rfft(audio, size) * response, size)[: len(audio)], np.float32)


@lru_cache(maxsize=4)
def octaves(n_samples: int) -> npt.NDArray[np.float32]:
    """Octaves above 60 Hz of each frequency at which a sound of this length is shaped."""
    frequencies = np.maximum(fft.rfftfreq(_size(n_samples), 1.0 / SAMPLE_RATE_HZ), 1.0)
    above: npt.NDArray[np.float32] = np.log2(frequencies / LOWEST_HZ).astype(np.float32)
    above.flags.writeable = False
    return above


@lru_cache(maxsize=4)
def _between(n_samples: int, n_points: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each frequency the number of the point below it, and how far it is on the way to the next one, 0 to 1."""
    places = octaves(n_samples) * np.float32((n_points - 1) / np.log2(SAMPLE_RATE_HZ / 2 / LOWEST_HZ))
    below = np.clip(places.astype(np.intp), 0, n_points - 2)
    return below, np.clip(places - below, 0.0, 1.0).astype(np.float32)


def _size(n_samples: int) -> int:
    size: int = fft.next_fast_len(n_samples + _RINGING_SAMPLES, real=True)
    return size
