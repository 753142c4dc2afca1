"""The noise gate of browsers and telephones: between words there is nothing at all.

Recordings that people make in a browser are at -88 dBFS between the words. A detector that never heard that takes
silence of this kind for something new.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import ndimage

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio, gain
from steps.scene import Scene

__all__ = ["apply", "draw", "tell"]

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_THRESHOLD_DB: Final = (-55.0, -42.0)
_HOLD_MS: Final = (80.0, 300.0)
_FLOOR_DB: Final = -60.0


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``threshold_db`` below the loudest frame, ``hold_ms`` for which the gate stays open after it."""
    return {
        "threshold_db": round(float(rng.uniform(*_THRESHOLD_DB)), 1),
        "hold_ms": round(float(rng.uniform(*_HOLD_MS))),
    }


def apply(audio: Audio, _: Scene, *, threshold_db: float, hold_ms: float) -> Audio:
    """Turn 10 ms frames below the threshold down by 60 dB; the gate opens 20 ms early and ramps over a frame."""
    n_frames = -(-len(audio) // _FRAME_SAMPLES)
    frames = np.zeros((n_frames, _FRAME_SAMPLES), np.float32)
    frames.reshape(-1)[: len(audio)] = audio
    energy = np.einsum("ij,ij->i", frames, frames)
    is_open = energy > energy.max() * gain(threshold_db) ** 2
    hold = round(hold_ms / 10.0)
    # Frame i is open if one of the frames i - hold to i + 2 is loud.
    kernel = np.zeros(2 * hold + 1, bool)
    kernel[max(0, hold - 2) :] = True
    is_open = ndimage.binary_dilation(is_open, structure=kernel)
    gains = np.where(is_open, 1.0, gain(_FLOOR_DB))
    centres = (np.arange(n_frames) + 0.5) * _FRAME_SAMPLES
    return audio * np.interp(np.arange(len(audio)), centres, gains).astype(np.float32)


def tell(*, threshold_db: float, hold_ms: float) -> str:
    """In words."""
    return f"silenced by a gate {hold_ms:.0f} ms after it falls below {threshold_db:.0f} dB"
