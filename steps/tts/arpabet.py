"""English IPA in the phones of the CMU dictionary, for Flite and Festival: a word is syllables, each with its stress.

Both programs read such words out of a lexicon that they are given, under a made-up spelling, and give them the melody
of any other word; so punctuation counts, too.
"""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Syllable", "spell", "syllables"]


class Syllable(NamedTuple):
    """Phones of a syllable, one of them a vowel, and whether it is stressed."""

    phones: tuple[str, ...]
    stressed: bool


def _table(pairs: str) -> dict[str, tuple[str, ...]]:
    """A table from ``"x y z, ..."``, symbol and phones."""
    return {symbol: tuple(phones) for symbol, *phones in (pair.split() for pair in pairs.split(","))}


_CONSONANTS: Final = {symbol: (symbol,) for symbol in "bdfklmnpstvwz"} | _table(
    "h hh, j y, ɡ g, ɹ r, r r, ɾ t, ŋ ng, ð dh, θ th, ʃ sh, ʒ zh, tʃ ch, dʒ jh, x k, ç hh, ɬ l, ʔ t"
)
_VOWELS: Final = _table(
    "a aa, æ ae, ɐ ax, ə ax, ɚ er, ɜː er, ɝ er, ɛ eh, e eh, eː ey, ɪ ih, ᵻ ih, i iy, iː iy, ɔ ao, ɔː ao, ɒ aa, ɑ aa,"
    "ɑː aa, ʊ uh, u uw, uː uw, ʌ ah, aɪ ay, aʊ aw, eɪ ey, ɔɪ oy, oʊ ow, əʊ ow, o ow, oː ao, iə ih r, eə eh r, ʊə uh r,"
    "aɪə ay ax, aɪɚ ay er, əl ax l, n̩ ax n"
)
_VOWEL_PHONES: Final = frozenset(phones[0] for phones in _VOWELS.values())
_SYMBOL: Final = re.compile("|".join(sorted({*_CONSONANTS, *_VOWELS, *"ˈˌ"}, key=len, reverse=True)))
_LETTERS: Final = ("zu", "pi", "ko", "na", "mo", "le", "ti", "ga")


def syllables(word: str) -> list[Syllable]:
    """Syllables of one word of IPA; symbols that English does not have are left out."""
    onset: list[str] = []
    found: list[tuple[list[str], bool]] = []
    stressed = False
    for symbol in _SYMBOL.findall(word):
        if symbol in "ˈˌ":
            stressed = symbol == "ˈ"
        elif symbol in _VOWELS:
            if found and len(onset) > 1:  # of several consonants, the last begins the next syllable
                found[-1][0].extend(onset[:-1])
                onset = onset[-1:]
            found.append(([*onset, *_VOWELS[symbol]], stressed))
            onset, stressed = [], False
        else:
            onset += _CONSONANTS[symbol]
    if not found and onset:  # consonants alone are said with a murmur
        found, onset = [(["ax"], False)], onset
    if found:
        found[-1][0].extend(onset)
    return [Syllable(tuple(phones), stressed=is_stressed) for phones, is_stressed in found]


def spell(ipa: str, lexicon: dict[str, str]) -> str:
    """A text that stands for phonemes.

    Args:
        ipa: words of IPA apart by spaces, with punctuation.
        lexicon: made-up spelling of each word seen so far, by its IPA; added to.

    Returns:
        The words in their made-up spelling, the punctuation as it was.
    """

    def replace(match: re.Match[str]) -> str:
        word = match.group()
        if not syllables(word):
            return ""
        if word not in lexicon:
            lexicon[word] = "".join(_LETTERS[int(digit)] for digit in f"{len(lexicon):04o}") + "zz"
        return lexicon[word]

    return re.sub(r"[^\s,.;:!?…]+", replace, ipa)
