"""The words of a language, most common first, with their pronunciations.

Words come from the package ``wordfreq`` (code Apache-2.0, data CC-BY-SA-4.0; R. Speer, https://doi.org/10.5281/zenodo.7199437),
which has 40 languages; pronunciations come from espeak-ng, 25 microseconds a word.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

from steps.articulation import is_vowel, split_sounds
from steps.phonetic_distance import Pronunciations
from steps.scripts import foreign_letters
from steps.spoken_texts import pronounce_each

__all__ = ["Lexicon", "read_lexicon"]

# What wordfreq calls by another name than espeak-ng.
_NAMES = {"bs": "sh", "cmn": "zh", "hr": "sh", "sr": "sh"}


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Words and how they sound.

    Attributes:
        words: most common first.
        phonemes: of each, in IPA.
        pronunciations: the same, ready to be compared.
    """

    words: list[str]
    phonemes: list[list[str]]
    pronunciations: Pronunciations

    def first(self, n: int) -> Lexicon:
        """The most common of its words."""
        phonemes = self.phonemes[:n]
        return Lexicon(words=self.words[:n], phonemes=phonemes, pronunciations=Pronunciations(phonemes))


@functools.lru_cache(maxsize=2)
def read_lexicon(language: str, *, n: int) -> Lexicon:
    """The most common words of a language that can be read aloud.

    Left out are what is spelled letter by letter, such as "lx", and what has other signs in it than letters.

    Args:
        language: a code of espeak-ng.
        n: words to look at.

    Returns:
        A lexicon, empty for a language without a list.
    """
    import wordfreq

    code = language.lower().split("-")[0]
    code = _NAMES.get(code, code)
    listed = wordfreq.top_n_list(code, n) if code in wordfreq.available_languages() else []
    words = [word for word in listed if _readable(word) and not foreign_letters(word, language=language)]
    spoken = list(zip(words, pronounce_each(words, language=language), strict=True))
    kept = [(word, phonemes) for word, phonemes in spoken if any(map(is_vowel, split_sounds(phonemes)))]
    phonemes = [phonemes for _, phonemes in kept]
    return Lexicon(words=[word for word, _ in kept], phonemes=phonemes, pronunciations=Pronunciations(phonemes))


def _readable(word: str) -> bool:
    """Whether engines read a word as one: letters and apostrophes; in Latin script, a vowel among them."""
    plain = [c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c)]
    latin = all(c.isascii() for c in plain)
    return all(unicodedata.category(c)[0] in "LM" or c == "'" for c in word) and (
        not latin or (len(plain) > 1 and any(c in "aeiouy" for c in plain))
    )
