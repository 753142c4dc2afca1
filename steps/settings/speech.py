"""What is spoken: the phrase, the texts, the clips of synthetic speech."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import Field, field_validator

from steps.settings.section import Count, Positive, Range, Section, Share

__all__ = ["ENGINES", "Phrases", "Synthesize", "Wakeword"]

ENGINES = Literal["espeak", "festival", "flite", "hibari", "kokoro", "piper", "pyttsx3"]


class Wakeword(Section):
    """The phrase itself."""

    phrase: str
    name: str | None
    language: str
    pronunciation: str | None

    @field_validator("phrase")
    @classmethod
    def _speakable(cls, phrase: str) -> str:
        phrase = " ".join(phrase.split())
        if not phrase:
            raise ValueError('is empty; expected the words to listen for, for example "hey nano"')
        # Marks are the vowel signs of Indic scripts and combining accents.
        odd = sorted({c for c in phrase if unicodedata.category(c)[0] not in "LM" and c not in " '-"})
        if odd:
            raise ValueError(
                f"got the characters {' '.join(odd)!r}; expected letters, spaces, apostrophes and hyphens. "
                "Write numbers and symbols as words"
            )
        if not any(c.isalpha() for c in phrase):
            raise ValueError(f"got {phrase!r}, which has no letter in it; expected the words to listen for")
        if len(phrase) > 60:
            raise ValueError(f"got {len(phrase)} characters; expected at most 60, a phrase of one to four words")
        return phrase

    @field_validator("name")
    @classmethod
    def _file_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"got {name!r}; expected up to 64 letters, digits, '-' and '_', or null")
        return name

    @field_validator("pronunciation")
    @classmethod
    def _some_sounds(cls, pronunciation: str | None) -> str | None:
        # Which sounds a language has is known to the stage phrases, the first and quickest, and to `steps check`.
        if pronunciation is not None and not pronunciation.strip(" /[]"):
            raise ValueError("is empty; expected the phrase in IPA, or null")
        return pronunciation

    @property
    def file_name(self) -> str:
        """Name of the model's files, without an ending."""
        return self.name or re.sub(r"[ '-]+", "_", self.phrase.lower()).strip("_")


class Phrases(Section):
    """Texts to speak."""

    partials: bool
    neighbours: Count
    min_distance: Share
    sentences: Positive


class Synthesize(Section):
    """Clips of synthetic speech."""

    positives: Positive
    partials: Count
    neighbours: Count
    negatives: Positive
    evaluation_neighbours: Count
    evaluation_hours: Annotated[float, Field(ge=0.0, le=100.0)]
    engines: dict[ENGINES, Annotated[float, Field(gt=0.0)] | None] = Field(min_length=1)
    speed: Range
    drop_share: Annotated[float, Field(ge=0.0, le=0.5)]
    workers: Positive

    @field_validator("engines")
    @classmethod
    def _all_or_none(cls, shares: dict[ENGINES, float | None]) -> dict[ENGINES, float | None]:
        without = [name for name, share in shares.items() if share is None]
        if 0 < len(without) < len(shares):
            raise ValueError(
                f"got no share for {', '.join(without)}; expected shares for all engines, or null for all, "
                "which shares by the square root of their numbers of voices"
            )
        return shares

    @field_validator("speed")
    @classmethod
    def _ordered(cls, speed: tuple[float, float]) -> tuple[float, float]:
        low, high = speed
        if not 0.25 <= low <= high <= 4.0:
            raise ValueError(f"got [{low}, {high}]; expected [low, high] with 0.25 <= low <= high <= 4")
        return speed
