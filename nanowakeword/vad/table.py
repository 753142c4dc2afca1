"""The voice activity detectors by name. To add one: a file beside this one and a line in the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nanowakeword.errors import ConfigError
from nanowakeword.scorer import Trigger
from nanowakeword.vad.energy import EnergyVad
from nanowakeword.vad.silero import SileroVad

__all__ = ["VADS", "build_vad"]

VADS: Final[dict[str, Callable[[float | None], Trigger]]] = {
    "energy": lambda margin_db: EnergyVad(margin_db=margin_db),
    "silero": lambda threshold: SileroVad(threshold=threshold),
}


def build_vad(name: str, threshold: float = 0.0) -> Trigger:
    """Build a voice activity detector for one stream.

    Args:
        name: ``energy`` or ``silero``.
        threshold: in the detector's own unit; 0 means its default. ``energy``: decibels above the room's noise, 3 to
            30. ``silero``: probability of speech, up to 1. No value suits both, so one meant for the other is refused.

    Raises:
        ConfigError: there is no such detector, or the threshold is out of its range.
        DependencyError: it needs an optional package that is not installed.
    """
    if name not in VADS:
        raise ConfigError("no such VAD", got=repr(name), expected=" or ".join(VADS))
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise ConfigError("threshold of the VAD", got=repr(threshold), expected="a number, 0 for the VAD's default")
    return VADS[name](threshold or None)
