"""What the data is: counts, hours, lengths and signal-to-noise ratios, cheap to measure.

Automatic settings are derived from the counts (`steps.automatic`); the rest tells a person what was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.clippack import ClipPack

__all__ = ["describe_clips", "describe_ratios", "tell_measured", "word_to_rest_db"]

_PERCENTILES: Final = (5, 50, 95)
_SILENCE: Final = 1.0


def describe_clips(pack: ClipPack, clips: Sequence[int]) -> dict[str, Any]:
    """Some clips: how many, by how many voices, their hours and lengths.

    Args:
        pack: all clips.
        clips: numbers of some; at least one.

    Returns:
        ``clips``, ``voices``, ``hours``, and ``seconds``: 5th, 50th and 95th percentile of the lengths.
    """
    chosen = [pack.clips[number] for number in clips]
    seconds = np.array([clip.n_samples for clip in chosen]) / SAMPLE_RATE_HZ
    return {
        "clips": len(chosen),
        "voices": len({(clip.engine, clip.voice) for clip in chosen}),
        "hours": round(float(seconds.sum()) / 3_600, 3),
        "seconds": [round(float(value), 2) for value in np.percentile(seconds, _PERCENTILES)],
    }


def word_to_rest_db(audio: npt.NDArray[np.int16], *, start: int, end: int) -> list[float]:
    """Signal-to-noise ratio of a window: power while the word is said, without that of the rest, to that of the rest.

    Other speech before and after the word counts as noise, and so does a room's echo of it.

    Args:
        audio: ``[n]``.
        start: first sample of the word; may lie before the window.
        end: one after its last.

    Returns:
        Decibels, from -20 to 90; none where there is nothing but the word.
    """
    power = audio.astype(np.float64) ** 2
    word, rest = power[max(0, start) : end], np.concatenate([power[: max(0, start)], power[end:]])
    if not len(word) or not len(rest):
        return []
    noise = max(float(rest.mean()), _SILENCE)
    signal = max(float(word.mean()) - noise, 0.01 * noise)
    return [float(np.clip(10.0 * np.log10(signal / noise), -20.0, 90.0))]


def describe_ratios(ratios_db: Sequence[float]) -> list[float] | None:
    """5th, 50th and 95th percentile of some ratios, decibels; None of none."""
    return [round(float(value), 1) for value in np.percentile(ratios_db, _PERCENTILES)] if ratios_db else None


def tell_measured(found: Mapping[str, Any]) -> str:
    """What was measured of a split, in a line.

    Args:
        found: of `describe_clips`, with ``recordings`` and ``snr_db``, those of `describe_ratios`.
    """
    low, middle, high = found["seconds"]
    line = (
        f"{found['clips']:,} clips of the phrase by {found['voices']} voices, {found['hours']:g} h, mostly {low:g} to "
        f"{high:g} s long (median {middle:g}); {found['recordings']:,} real recordings of it"
    )
    if found["snr_db"] is not None:
        low, middle, high = found["snr_db"]
        line += f"; in its windows the phrase is mostly {low:g} to {high:g} dB above all else (median {middle:g})"
    return line
