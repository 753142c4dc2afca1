"""What an augmentation may know of the window that it works on."""

from __future__ import annotations

from dataclasses import dataclass

from steps.rooms import Rooms
from steps.sources import Sources

__all__ = ["Scene"]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The surroundings of a sound.

    Attributes:
        n_samples: length of the window.
        word_start: first sample that must be kept.
        word_end: the sample after the last; beyond ``n_samples`` if the window ends within the word.
        clip: number of the clip that the window is about, -1 if it is about none.
        has_voice: whether somebody speaks in the window.
        snr_db: range of signal to noise ratios.
        sources: other sounds of the same split.
        rooms: rooms of the same split.
    """

    n_samples: int
    word_start: int
    word_end: int
    clip: int
    has_voice: bool
    snr_db: tuple[float, float]
    sources: Sources
    rooms: Rooms
