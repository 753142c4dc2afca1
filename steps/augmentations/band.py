"""A recorder that lost the bass or the treble: lower sample rates, small loudspeakers, cheap converters."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.eq import LOWEST_HZ, octaves, shape
from steps.decibels import Audio
from steps.scene import Scene

__all__ = ["apply", "draw", "tell"]

# Among windows that lost any. Each is lost by itself in a quarter of 70 % of all, where the share of this is 30 %.
_LOST: Final = ("bass", "treble", "both")
_SHARES: Final = (3 / 7, 3 / 7, 1 / 7)
_LOW_CUT_HZ: Final = (80.0, 400.0)
_HIGH_CUT_HZ: Final = (3_000.0, 7_000.0)
_SLOPE_DB_PER_OCTAVE: Final = (36.0, 72.0)


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``low_hz`` and ``high_hz``, 0 and 8000 where nothing is lost."""
    lost = str(rng.choice(_LOST, p=_SHARES))
    low, high = float(np.exp(rng.uniform(*np.log(_LOW_CUT_HZ)))), float(rng.uniform(*_HIGH_CUT_HZ))
    return {
        "low_hz": 0.0 if lost == "treble" else round(low, 1),
        "high_hz": SAMPLE_RATE_HZ / 2 if lost == "bass" else round(high, 1),
    }


def apply(audio: Audio, _: Scene, *, low_hz: float, high_hz: float) -> Audio:
    """Audio ``[n]`` that falls by 36 dB an octave below ``low_hz`` and by 72 dB an octave above ``high_hz``."""
    above = octaves(len(audio))
    decibels = np.zeros_like(above)
    if low_hz > LOWEST_HZ:
        decibels -= np.float32(_SLOPE_DB_PER_OCTAVE[0]) * np.maximum(np.float32(np.log2(low_hz / LOWEST_HZ)) - above, 0)
    if high_hz < SAMPLE_RATE_HZ / 2:
        decibels -= np.float32(_SLOPE_DB_PER_OCTAVE[1]) * np.maximum(
            above - np.float32(np.log2(high_hz / LOWEST_HZ)), 0
        )
    return shape(audio, decibels)


def tell(*, low_hz: float, high_hz: float) -> str:
    """In words."""
    return f"limited to {low_hz:.0f} to {high_hz:.0f} Hz"
