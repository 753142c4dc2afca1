"""Too loud for the recorder: what is beyond its range is cut off."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from steps.decibels import Audio, gain
from steps.scene import Scene

__all__ = ["apply", "draw", "tell"]

_OVERDRIVE_DB: Final = (1.0, 12.0)


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``overdrive_db``, by how much the loudest sample is beyond the range."""
    return {"overdrive_db": round(float(rng.uniform(*_OVERDRIVE_DB)), 2)}


def apply(audio: Audio, _: Scene, *, overdrive_db: float) -> Audio:
    """Clip audio ``[n]`` so far below its loudest sample."""
    ceiling = np.float32(np.abs(audio).max(initial=0.0) * gain(-overdrive_db))
    return np.clip(audio, -ceiling, ceiling)


def tell(*, overdrive_db: float) -> str:
    """In words."""
    return f"clipped by {overdrive_db:.1f} dB"
