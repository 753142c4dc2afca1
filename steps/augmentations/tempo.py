"""Said faster or slower, at the same pitch: a phase vocoder, Flanagan and Golden, "Phase Vocoder", 1966, by librosa."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from steps.decibels import Audio
from steps.scene import Scene
from steps.splicing import fit

__all__ = ["apply", "draw", "length", "stretch", "tell"]

_LOG_RANGE: Final = 0.25
# 64 ms hold several periods of a low voice and are shorter than most syllables.
_TRANSFORM_SAMPLES: Final = 1_024


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``factor``, 0.78 to 1.28, above 1 faster."""
    return {"factor": round(float(np.exp(rng.uniform(-_LOG_RANGE, _LOG_RANGE))), 2)}


def apply(audio: Audio, _: Scene, *, factor: float) -> Audio:
    """Stretch, so that ``n`` samples become ``n / factor``."""
    return stretch(audio, n_samples=length(len(audio), factor=factor))


def length(n_samples: int, *, factor: float) -> int:
    """Samples afterwards."""
    return round(n_samples / factor)


def tell(*, factor: float) -> str:
    """In words."""
    return f"said at {100 * factor:.0f} % of the tempo"


def stretch(audio: Audio, *, n_samples: int) -> Audio:
    """Audio ``[n]`` in ``n_samples``, its pitch kept."""
    if len(audio) == n_samples or len(audio) < _TRANSFORM_SAMPLES:
        return fit(audio, n_samples=n_samples)
    from librosa.effects import time_stretch  # slow to import

    # Mirrored at both ends, or the first and the last syllable would be smeared into what is cut off.
    rate, margin = len(audio) / n_samples, _TRANSFORM_SAMPLES // 2
    stretched = time_stretch(np.pad(audio, margin, mode="reflect"), rate=rate, n_fft=_TRANSFORM_SAMPLES)
    return fit(stretched[round(margin / rate) :], n_samples=n_samples)
