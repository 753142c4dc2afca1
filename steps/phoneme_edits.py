"""Pronunciations that are nearly a phrase: its phonemes with some of them changed, or its parts in another order.

They are spoken as phonemes, so that what is said is what was drawn; no spelling comes between.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from steps.articulation import is_vowel, split_sounds, unlikeness

__all__ = ["edit_phonemes", "rearrange_phonemes"]

Words = list[list[str]]

_STRESS: Final = "ˈˌ"
_SUBSTITUTE, _DELETE, _INSERT, _TRANSPOSE = range(4)
_UP_TO: Final = (0.55, 0.7, 0.85, 1.0)  # shares of the edits, added up
# A phoneme half a step away is drawn e times as often as one a whole step away.
_LIKENESS_SCALE: Final = 0.5
_LEAST_PHONEME_SHARE: Final = 0.002  # of all phonemes in the lexicon; rarer ones are of foreign names
_LEAST_PAIRS: Final = 5  # words
_CONSONANTS_IN_A_ROW: Final = 3
_REPEATED: Final = (0.3, 0.62)  # beginnings and ends of this share of the phrase are said twice


def edit_phonemes(
    words: Words, *, lexicon: Sequence[Sequence[str]], sayable: Callable[[str], bool], n: int, seed: int
) -> list[Words]:
    """Draw variants of a pronunciation, each of one to as many edits as it has phonemes.

    An edit puts a similar phoneme of the same class, vowel or consonant, for one; leaves one out; puts one in; or has
    two neighbours change places. Edits after which it could not be a word are not made: each has a vowel, no more than
    three consonants in a row, and no two phonemes in a row, or at an edge, that are not so in words of the language or
    in the phrase.

    Args:
        words: the phrase, phonemes in IPA.
        lexicon: phonemes of words of the language.
        sayable: whether engines can say a phoneme, given without stress.
        n: draws; fewer variants come back, since some are drawn twice.
        seed: of the draws.
    """
    rng = np.random.default_rng([seed, 0xED17])
    plain = [[phoneme.lstrip(_STRESS) for phoneme in word] for word in lexicon]
    counts = Counter(phoneme for word in plain for phoneme in word)
    least = _LEAST_PHONEME_SHARE * counts.total()
    drawer = _Drawer(sorted(item for item, count in counts.items() if count >= least and sayable(item)), rng)
    pairs = Counter(pair for word in plain for pair in _pairs(word))
    usual = {pair for pair, count in pairs.items() if count >= _LEAST_PAIRS} | {
        p for word in words for p in _pairs(word)
    }
    found: dict[str, Words] = {}
    total = sum(map(len, words))
    longest_run = max(_CONSONANTS_IN_A_ROW, *map(_consonant_run, words))
    for _ in range(n):
        variant = [list(word) for word in words]
        for _ in range(int(rng.integers(1, total + 1))):
            at = int(rng.integers(len(variant)))
            edited = _edit(variant[at], rng, drawer)
            if _has_vowel(edited) and usual.issuperset(_pairs(edited)) and _consonant_run(edited) <= longest_run:
                variant[at] = edited
        if variant != words:
            found.setdefault(" ".join("".join(word) for word in variant), variant)
    return list(found.values())


def rearrange_phonemes(words: Words) -> Iterator[tuple[Literal["swap", "repeat"], Words]]:
    """Parts of a pronunciation in another order, or said twice.

    Yields:
        Kind, ``swap`` or ``repeat``, and the phonemes in words.
    """
    phonemes = [phoneme for word in words for phoneme in word]
    n = len(phonemes)
    for cut in range(1, n):
        first, last = phonemes[:cut], phonemes[cut:]
        if _has_vowel(first) and _has_vowel(last):
            yield "swap", [last, first]
        for part in (first, last):
            if _has_vowel(part) and _REPEATED[0] <= len(part) / n <= _REPEATED[1]:
                yield "repeat", [part, part]


class _Drawer:
    """Draws phonemes of an inventory."""

    def __init__(self, inventory: Sequence[str], rng: np.random.Generator) -> None:
        self._rng = rng
        self._classes = {vowel: [item for item in inventory if _is_vowel(item) == vowel] for vowel in (True, False)}
        self._chances: dict[str, npt.NDArray[np.float64]] = {}

    def like(self, phoneme: str) -> str:
        """Another phoneme of its class, the more similar the likelier; itself where there is none."""
        pool = self._classes[_is_vowel(phoneme)]
        if phoneme not in self._chances:
            apart = np.array([_apart(phoneme, other) for other in pool])
            self._chances[phoneme] = np.cumsum(np.where(apart > 0.0, np.exp(-apart / _LIKENESS_SCALE), 0.0))
        chances = self._chances[phoneme]
        if not chances.size or chances[-1] == 0.0:
            return phoneme
        return pool[int(np.searchsorted(chances, self._rng.random() * chances[-1], side="right"))]

    def any(self) -> str:
        """Some phoneme, vowels and consonants alike."""
        pool = self._classes[self._rng.random() < 0.5] or self._classes[True] or self._classes[False]
        return pool[int(self._rng.integers(len(pool)))]


def _edit(phonemes: Sequence[str], rng: np.random.Generator, drawer: _Drawer) -> list[str]:
    """A word with one edit; one that a short word does not allow is not made."""
    word = list(phonemes)
    what = int(np.searchsorted(_UP_TO, rng.random()))
    at = int(rng.integers(len(word)))
    if what == _SUBSTITUTE:
        phoneme = word[at].lstrip(_STRESS)
        word[at] = word[at].removesuffix(phoneme) + drawer.like(phoneme)
    elif what == _INSERT:
        word.insert(at, drawer.any())
    elif what == _DELETE and len(word) > 1:
        del word[at]
    elif what == _TRANSPOSE and at + 1 < len(word):
        word[at], word[at + 1] = word[at + 1], word[at]
    return word


def _pairs(word: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Phonemes that follow each other, a word's edges among them, without stress."""
    return pairwise(["", *(phoneme.lstrip(_STRESS) for phoneme in word), ""])


def _apart(phoneme: str, other: str) -> float:
    """Mean unlikeness of two phonemes, each of them one sound or two."""
    return float(unlikeness(split_sounds([phoneme]), split_sounds([other])).mean())


def _consonant_run(word: Sequence[str]) -> int:
    """Most consonants in a row."""
    return max(0 if vowel else len(list(run)) for vowel, run in groupby(split_sounds(word), key=is_vowel))


def _has_vowel(phonemes: Sequence[str]) -> bool:
    return any(map(_is_vowel, phonemes))


@functools.cache
def _is_vowel(phoneme: str) -> bool:
    return any(map(is_vowel, split_sounds([phoneme])))
