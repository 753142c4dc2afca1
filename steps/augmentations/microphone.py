"""A microphone in a case on a table: a high-pass, the resonance of its port, and the echo off the table.

The port is a Helmholtz resonator, a second-order peak of some dB at a few kHz where a case lengthens it. Sound that
bounces off the table arrives a fraction of a millisecond after the direct one, which combs the spectrum. Taken together
they are sharper than the bumps of `eq`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.eq import LOWEST_HZ, octaves, shape
from steps.decibels import Audio, gain
from steps.scene import Scene

__all__ = ["apply", "draw", "tell"]

_HIGH_PASS_HZ: Final = (20.0, 200.0)
_RESONANCE_HZ: Final = (2_500.0, 7_500.0)
_RESONANCE_DB: Final = (2.0, 12.0)
_SHARPNESS: Final = (1.5, 6.0)
_TABLE_SHARE: Final = 0.5
# 4 to 70 cm of detour.
_ECHO_MS: Final = (0.12, 2.0)
_ECHO_DB: Final = (-12.0, -3.0)


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``high_pass_hz``; ``resonance_hz``, ``resonance_db``, ``sharpness``; ``echo_ms``, ``echo_db``.

    ``echo_ms`` is 0 where there is no table.
    """
    echo_ms, echo_db = float(np.exp(rng.uniform(*np.log(_ECHO_MS)))), float(rng.uniform(*_ECHO_DB))
    return {
        "high_pass_hz": round(float(np.exp(rng.uniform(*np.log(_HIGH_PASS_HZ)))), 1),
        "resonance_hz": round(float(rng.uniform(*_RESONANCE_HZ)), 1),
        "resonance_db": round(float(rng.uniform(*_RESONANCE_DB)), 2),
        "sharpness": round(float(rng.uniform(*_SHARPNESS)), 2),
        "echo_ms": round(echo_ms, 3) if rng.random() < _TABLE_SHARE else 0.0,
        "echo_db": round(echo_db, 2),
    }


def apply(
    audio: Audio,
    _: Scene,
    *,
    high_pass_hz: float,
    resonance_hz: float,
    resonance_db: float,
    sharpness: float,
    echo_ms: float,
    echo_db: float,
) -> Audio:
    """Audio ``[n]`` as the microphone gives it; the direct sound stays where it is."""
    hertz = np.exp2(octaves(len(audio))) * np.float32(LOWEST_HZ)
    ratio = hertz / np.float32(high_pass_hz)
    high_pass_db = np.float32(-10.0) * np.log10(1.0 + ratio ** np.float32(-4.0))  # Butterworth, second order
    detune = np.float32(sharpness) * (hertz / np.float32(resonance_hz) - np.float32(resonance_hz) / hertz)
    peak_db = np.float32(resonance_db) / (1.0 + np.square(detune))
    shaped = shape(audio, (high_pass_db + peak_db).astype(np.float32))
    return shaped if echo_ms == 0.0 else _with_echo(shaped, echo_ms=echo_ms, echo_db=echo_db)


def tell(
    *,
    high_pass_hz: float,
    resonance_hz: float,
    resonance_db: float,
    sharpness: float,  # noqa: ARG001 - of the signature of `apply`
    echo_ms: float,
    echo_db: float,
) -> str:
    """In words."""
    table = f", {echo_ms:.2f} ms off a table ({echo_db:.0f} dB)" if echo_ms else ""
    return f"a microphone from {high_pass_hz:.0f} Hz, {resonance_db:+.0f} dB at {resonance_hz:.0f} Hz{table}"


def _with_echo(audio: Audio, *, echo_ms: float, echo_db: float) -> Audio:
    """Audio ``[n]`` and itself later, between two samples by straight lines."""
    whole, part = divmod(echo_ms * SAMPLE_RATE_HZ / 1_000.0, 1.0)
    delay, amplitude = int(whole), gain(echo_db)
    added = audio.copy()
    added[delay:] += np.float32((1.0 - part) * amplitude) * audio[: len(audio) - delay]
    added[delay + 1 :] += np.float32(part * amplitude) * audio[: len(audio) - delay - 1]
    return added
