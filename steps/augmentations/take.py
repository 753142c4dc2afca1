"""The recording begins or stops within the window: outside it there are zeros, and the edge is hard.

That is what a stream looks like when a microphone is opened, when a browser pads what it recorded, and where recordings
are joined.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio

__all__ = ["apply", "draw"]

_STOPS_SHARE: Final = 0.5
_MARGIN_SAMPLES: Final = SAMPLE_RATE_HZ // 20


def draw(rng: np.random.Generator, *, n_samples: int, word_start: int, word_end: int) -> dict[str, Any]:
    """Parameters: ``start`` and ``end`` of what was recorded, 50 ms or more outside the word where there is room.

    Args:
        rng: source of randomness.
        n_samples: length of the window.
        word_start: first sample to keep.
        word_end: the sample after the last to keep, perhaps beyond the window.
    """
    start = int(rng.integers(0, max(1, word_start - _MARGIN_SAMPLES)))
    end = int(rng.integers(min(word_end + _MARGIN_SAMPLES, n_samples), n_samples + 1))
    return {"start": start, "end": end if rng.random() < _STOPS_SHARE else n_samples}


def apply(audio: Audio, rng: np.random.Generator, *, start: int, end: int) -> Audio:  # noqa: ARG001 - as the others
    """Zeros before ``start`` and from ``end`` on."""
    taken = audio.copy()
    taken[:start] = 0.0
    taken[end:] = 0.0
    return taken
