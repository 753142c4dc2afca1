"""What every speech engine looks like: facts, a check that it is there, and speech for a list of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steps.clippack import Kind, Split

__all__ = ["Engine", "Request", "Samples", "Voice", "in_english"]

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A speaker of an engine.

    Attributes:
        name: unique within the engine.
        family: voices of one family sound alike, so they stay in one split; by default the voice itself.
        group: sex, accent and the like; each group is spread over the splits.
        home: the split that it always goes to. It is set for people whom several engines imitate, so that nobody is in
            two splits, and for voices best kept for validation; None: it is dealt.
    """

    name: str
    family: str
    group: str = ""
    home: Split | None = None


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
        reads_phonemes: whether phonemes between slashes are understood, in every language that it speaks.
        blends: whether two voices can be mixed into a new one.
        shard_clips: clips spoken by one process, some 10 to 30 seconds of work.
        voices: its speakers of a language, a code of espeak-ng; none: it does not speak it. What a platform or a
            program offers is known only once ``missing`` has said that it is there.
        missing: how to install it or why it is of no use, or None when it is there. May download the voices.
        speak: speech, float32 in -1...1, for requests in order. The same requests and seed give the same samples in a
            fresh process, and only there. An empty array: the engine refused.
    """

    name: str
    licence: str
    sample_rate_hz: int
    reads_phonemes: bool
    blends: bool
    shard_clips: int
    voices: Callable[[str], tuple[Voice, ...]]
    missing: Callable[[], str | None]
    speak: Callable[[Sequence[Request], int], Iterator[Samples]]

    def speaks(self, language: str) -> bool:
        """Whether texts of a language can be asked for."""
        return bool(self.voices(language))


def in_english(*voices: Voice) -> Callable[[str], tuple[Voice, ...]]:
    """Speakers of English only, for `Engine.voices`."""
    return lambda language: voices if language.lower().split("-")[0] == "en" else ()
