"""The recording begins or stops within the window: outside it there are zeros, and the edge is hard.

That is what a stream looks like when a microphone is opened, when a browser pads what it recorded, and where recordings
are joined.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio
from steps.scene import Scene

__all__ = ["apply", "draw", "tell"]

_STOPS_SHARE: Final = 0.5
_MARGIN_SAMPLES: Final = SAMPLE_RATE_HZ // 20


def draw(rng: np.random.Generator, scene: Scene) -> dict[str, Any]:
    """Parameters: ``start`` and ``end`` of what was recorded, 50 ms or more outside the word where there is room."""
    start = int(rng.integers(0, max(1, scene.word_start - _MARGIN_SAMPLES)))
    end = int(rng.integers(min(scene.word_end + _MARGIN_SAMPLES, scene.n_samples), scene.n_samples + 1))
    return {"start": start, "end": end if rng.random() < _STOPS_SHARE else scene.n_samples}


def apply(audio: Audio, _: Scene, *, start: int, end: int) -> Audio:
    """Zeros before ``start`` and from ``end`` on."""
    taken = audio.copy()
    taken[:start] = 0.0
    taken[end:] = 0.0
    return taken


def tell(*, start: int, end: int) -> str:
    """In words."""
    return f"recorded from {start / SAMPLE_RATE_HZ:.2f} to {end / SAMPLE_RATE_HZ:.2f} s"
