"""What calls and voice messages do to speech: Opus at few bits, or the G.711 of telephones.

Some windows of every pool pass through one, so that a detector cannot learn that only other people's recordings are
compressed.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import soundfile
import soxr

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio
from steps.scene import Scene
from steps.splicing import fit

__all__ = ["apply", "draw", "tell"]

_KINDS: Final = ("opus", "telephone", "mu_law")
_KBIT_PER_S: Final = (10.0, 32.0)
_MU: Final = 255.0
_TELEPHONE_HZ: Final = 8_000


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``kind`` (opus; telephone: mu-law at 8 kHz; mu_law at 16 kHz), ``kbit_per_s`` of Opus."""
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    return {"kind": kind, "kbit_per_s": round(float(rng.uniform(*_KBIT_PER_S)), 1) if kind == "opus" else 0.0}


def apply(audio: Audio, _: Scene, *, kind: str, kbit_per_s: float) -> Audio:
    """Encode and decode audio ``[n]``; the codec's delay is taken out."""
    if kind == "opus":
        return _opus(audio, kbit_per_s=kbit_per_s)
    if kind == "mu_law":
        return _mu_law(audio)
    narrow = soxr.resample(audio, SAMPLE_RATE_HZ, _TELEPHONE_HZ)
    return fit(soxr.resample(_mu_law(narrow), _TELEPHONE_HZ, SAMPLE_RATE_HZ), n_samples=len(audio))


def tell(*, kind: str, kbit_per_s: float) -> str:
    """In words."""
    return f"through Opus at {kbit_per_s:.0f} kbit/s" if kind == "opus" else f"through {kind.replace('_', '-')}"


def _mu_law(audio: Audio) -> Audio:
    """To 8 bits and back, ITU-T G.711's curve."""
    clipped = np.clip(audio, -1.0, 1.0)
    code = np.rint(np.sign(clipped) * np.log1p(_MU * np.abs(clipped)) / np.log1p(_MU) * 127.0) / 127.0
    return np.asarray(np.sign(code) * np.expm1(np.abs(code) * np.log1p(_MU)) / _MU, np.float32)


def _opus(audio: Audio, *, kbit_per_s: float) -> Audio:
    """Through an Ogg Opus file in memory; libsndfile's levels 0 to 1 are 256 down to 6 kbit/s."""
    file = io.BytesIO()
    level = (256.0 - kbit_per_s) / 250.0
    soundfile.write(file, audio, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=level)
    file.seek(0)
    return fit(soundfile.read(file, dtype="float32")[0], n_samples=len(audio))
