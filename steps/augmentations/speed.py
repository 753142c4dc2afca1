"""Another speaker size and tempo: played faster or slower, pitch and tempo together."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import soxr

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio

__all__ = ["apply", "draw"]

_LOG_RANGE: Final = 0.15


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters: ``factor``, 0.86 to 1.16, above 1 faster and higher."""
    # Whole percents let the resampler use its rational filters, three times faster.
    return {"factor": round(float(np.exp(rng.uniform(-_LOG_RANGE, _LOG_RANGE))), 2)}


def apply(audio: Audio, rng: np.random.Generator, *, factor: float) -> Audio:  # noqa: ARG001 - the table's signature
    """Resample, so that ``n`` samples become about ``n / factor``."""
    if factor == 1.0:
        return audio.copy()
    return np.asarray(soxr.resample(audio, round(SAMPLE_RATE_HZ * factor), SAMPLE_RATE_HZ, quality="MQ"), np.float32)
