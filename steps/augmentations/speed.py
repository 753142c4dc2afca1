"""Another speaker size and tempo: played faster or slower, pitch and tempo together."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import soxr

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio
from steps.scene import Scene
from steps.splicing import fit

__all__ = ["apply", "draw", "length", "tell"]

_LOG_RANGE: Final = 0.15


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``factor``, 0.86 to 1.16, above 1 faster and higher."""
    # Whole percents let the resampler use its rational filters, three times faster.
    return {"factor": round(float(np.exp(rng.uniform(-_LOG_RANGE, _LOG_RANGE))), 2)}


def apply(audio: Audio, _: Scene, *, factor: float) -> Audio:
    """Resample, so that ``n`` samples become ``n / factor``."""
    if factor == 1.0:
        return audio.copy()
    played = soxr.resample(audio, round(SAMPLE_RATE_HZ * factor), SAMPLE_RATE_HZ, quality="MQ")
    return fit(played, n_samples=length(len(audio), factor=factor))


def length(n_samples: int, *, factor: float) -> int:
    """Samples afterwards."""
    return round(n_samples / factor)


def tell(*, factor: float) -> str:
    """In words."""
    return f"played at {100 * factor:.0f} % of the speed"
