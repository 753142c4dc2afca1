"""What every speech engine looks like: facts, a check that it is there, and speech for a list of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steps.clippack import Kind, Split

__all__ = ["Engine", "Request", "Samples", "Voice"]

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A speaker of an engine.

    Attributes:
        name: unique within the engine.
        family: voices of one family sound alike, so they stay in one split; by default the voice itself.
        group: sex, accent and the like; each group is spread over the splits.
    """

    name: str
    family: str
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One clip to speak.

    Attributes:
        kind: the phrase, a part of it, words that sound like it, or something else.
        text: words, or phonemes between slashes (see `steps.phonemes`).
        language: a code of espeak-ng.
        engine: who speaks.
        voices: one voice, or the two that are blended.
        split: to which all its voices belong.
        speed: speaking rate, 1.0 being the engine's normal rate.
        seed: fixes what the engine varies besides: pitch, accent, blend, noise.
        distance: of a neighbour, how far its sounds are from the phrase's.
    """

    kind: Kind
    text: str
    language: str
    engine: str
    voices: tuple[str, ...]
    split: Split
    speed: float
    seed: int
    distance: float | None = None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A row of the table of engines.

    Attributes:
        name: its key in the settings and in the table.
        licence: SPDX expression of the voices.
        sample_rate_hz: of what it returns.
        languages: first parts of the language codes that it speaks; None: all of espeak-ng's.
        reads_phonemes: whether English phonemes between slashes are understood.
        blends: whether two voices can be mixed into a new one.
        shard_clips: clips spoken by one process, some 10 to 30 seconds of work.
        voices: its speakers.
        missing: how to install it, or None when it is there. May download the voices.
        speak: speech, float32 in -1...1, for requests in order. The same requests and seed give the same samples in a
            fresh process, and only there. An empty array: the engine refused.
    """

    name: str
    licence: str
    sample_rate_hz: int
    languages: frozenset[str] | None
    reads_phonemes: bool
    blends: bool
    shard_clips: int
    voices: tuple[Voice, ...]
    missing: Callable[[], str | None]
    speak: Callable[[Sequence[Request], int], Iterator[Samples]]

    def speaks(self, language: str) -> bool:
        """Whether texts of a language can be asked for."""
        return self.languages is None or language.split("-")[0].lower() in self.languages
