"""How loud it was recorded, with the noise of the converter, and now and then too loud for it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from steps.augmentations.noise import slope_noise
from steps.decibels import Audio, gain

__all__ = ["apply", "draw"]

_PEAK_DB: Final = (-32.0, -1.0)
_FAR_PEAK_DB: Final = (-52.0, -32.0)
_FAR_SHARE: Final = 0.08
_FLOOR_DB: Final = (-95.0, -40.0)
_FLOOR_BELOW_PEAK_DB: Final = 35.0
_FLOOR_DB_PER_OCTAVE: Final = (-6.0, 0.0)
_CLIPPED_SHARE: Final = 0.035
_OVERDRIVE_DB: Final = (1.0, 12.0)


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters.

    ``peak_db`` and ``floor_db`` in dB of full scale; ``floor_db_per_octave``, the slope of the floor's spectrum;
    ``overdrive_db`` beyond the peak, mostly 0.
    """
    peak_db = float(rng.uniform(*(_FAR_PEAK_DB if rng.random() < _FAR_SHARE else _PEAK_DB)))
    clipped, overdrive_db = rng.random() < _CLIPPED_SHARE, float(rng.uniform(*_OVERDRIVE_DB))
    return {
        "peak_db": round(peak_db, 2),
        "floor_db": round(min(float(rng.uniform(*_FLOOR_DB)), peak_db - _FLOOR_BELOW_PEAK_DB), 2),
        "floor_db_per_octave": round(float(rng.uniform(*_FLOOR_DB_PER_OCTAVE)), 2),
        "overdrive_db": round(overdrive_db, 2) if clipped else 0.0,
    }


def apply(
    audio: Audio,
    rng: np.random.Generator,
    *,
    peak_db: float,
    floor_db: float,
    floor_db_per_octave: float,
    overdrive_db: float,
) -> Audio:
    """Bring the loudest sample to ``peak_db + overdrive_db``, add quiet noise at ``floor_db``, clip at ``peak_db``."""
    loudest = float(np.abs(audio).max(initial=0.0))
    ceiling = gain(peak_db)
    scale = ceiling * gain(overdrive_db) / loudest if loudest > 0.0 else 0.0
    floor = slope_noise(len(audio), rng, db_per_octave=floor_db_per_octave)
    floor *= np.float32(gain(floor_db) / max(float(np.sqrt(np.square(floor).mean())), 1e-9))
    return np.asarray(np.clip(audio * np.float32(scale) + floor, -ceiling, ceiling), np.float32)
