"""A higher or lower voice: the pitch moves, tempo and formants stay."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import soxr

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.tempo import stretch
from steps.augmentations.tract import warp
from steps.decibels import Audio
from steps.scene import Scene
from steps.splicing import fit

__all__ = ["apply", "draw", "tell"]

_SEMITONES: Final = 3.0
_SMALLEST: Final = 0.5


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``semitones``, half of one to three, up or down."""
    semitones = float(rng.uniform(_SMALLEST, _SEMITONES)) * float(rng.choice([-1.0, 1.0]))
    return {"semitones": round(semitones, 2)}


def apply(audio: Audio, _: Scene, *, semitones: float) -> Audio:
    """Stretch audio ``[n]``, play it faster or slower back to ``[n]``, and move the formants back."""
    # Whole percents let the resampler use its rational filters.
    factor = round(2.0 ** (semitones / 12.0), 2)
    longer = stretch(audio, n_samples=round(len(audio) * factor))
    played = soxr.resample(longer, round(SAMPLE_RATE_HZ * factor), SAMPLE_RATE_HZ, quality="MQ")
    return warp(fit(played, n_samples=len(audio)), factor=1.0 / factor)


def tell(*, semitones: float) -> str:
    """In words."""
    return f"{abs(semitones):.1f} semitones {'higher' if semitones > 0.0 else 'lower'}"
