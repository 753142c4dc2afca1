"""How loud it was recorded, with the noise of the converter."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from steps.augmentations.noise import slope_noise
from steps.decibels import Audio, gain
from steps.scene import Scene

__all__ = ["apply", "draw", "tell"]

_PEAK_DB: Final = (-32.0, -1.0)
_FAR_PEAK_DB: Final = (-52.0, -32.0)
_FAR_SHARE: Final = 0.08
_FLOOR_DB: Final = (-95.0, -40.0)
_FLOOR_BELOW_PEAK_DB: Final = 35.0
_FLOOR_DB_PER_OCTAVE: Final = (-6.0, 0.0)


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``peak_db`` and ``floor_db`` of full scale, the floor's ``floor_db_per_octave`` and ``seed``."""
    peak_db = float(rng.uniform(*(_FAR_PEAK_DB if rng.random() < _FAR_SHARE else _PEAK_DB)))
    return {
        "peak_db": round(peak_db, 2),
        "floor_db": round(min(float(rng.uniform(*_FLOOR_DB)), peak_db - _FLOOR_BELOW_PEAK_DB), 2),
        "floor_db_per_octave": round(float(rng.uniform(*_FLOOR_DB_PER_OCTAVE)), 2),
        "seed": int(rng.integers(2**31)),
    }


def apply(audio: Audio, _: Scene, *, peak_db: float, floor_db: float, floor_db_per_octave: float, seed: int) -> Audio:
    """Bring the loudest sample of audio ``[n]`` to ``peak_db``, and add quiet noise at ``floor_db``."""
    loudest = float(np.abs(audio).max(initial=0.0))
    ceiling = gain(peak_db)
    floor = slope_noise(len(audio), np.random.default_rng(seed), db_per_octave=floor_db_per_octave)
    floor *= np.float32(gain(floor_db) / max(float(np.sqrt(np.square(floor).mean())), 1e-9))
    floor += audio * np.float32(ceiling / loudest if loudest > 0.0 else 0.0)
    return np.clip(floor, np.float32(-ceiling), np.float32(ceiling))


def tell(*, peak_db: float, floor_db: float, floor_db_per_octave: float, seed: int) -> str:  # noqa: ARG001
    """In words."""
    return f"peak {peak_db:.0f} dBFS over a floor of {floor_db:.0f} dBFS"
