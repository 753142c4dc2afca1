"""Phonemes between alphabets: espeak-ng's IPA, its mnemonics, and the symbols that Kokoro and hibari read.

A text between slashes, such as ``/ɐlˈɛ/``, is phonemes in espeak-ng's IPA, words apart by spaces; any other text is
words. The tables cover English; other languages go through `steps.pronunciation`.
"""

# ruff: noqa: RUF001, RUF002 -- the letters of IPA look like others

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = [
    "MNEMONICS",
    "bare",
    "between_slashes",
    "has_vowel",
    "kokoro_symbols",
    "mnemonics",
    "of_text",
]


def _table(pairs: str) -> dict[str, str]:
    """A table from ``"x y, z w"``."""
    return dict(pair.split() for pair in pairs.split(","))


_STRESS: Final = "ˈˌ"
_VOWELS: Final = frozenset("aeiouyæøœɐɑɒɔəɘɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏᵻ\u0329")

# IPA to espeak-ng's mnemonics, read off 13,000 words in five accents of English. A mnemonic is an abstract phoneme, so
# that American IPA comes out Scottish in a Scottish voice.
MNEMONICS: Final = {symbol: symbol for symbol in "abdfhijklmnprstvwz"} | _table(
    "ɡ g, ɹ r, ɾ t#, ŋ N, ð D, θ T, ʃ S, ʒ Z, ʔ ?, n̩ n-, tʃ tS, dʒ dZ, əl @L, æ a, ɐ a#, ə @, ɚ 3, ɛ E, ɪ I, ᵻ I#,"
    "ɔ O2, ɒ 0, ʊ U, ʌ V, ɑː 0, iː i:, uː u:, ɔː O:, ɜː 3:, aɪ aI, aʊ aU, eɪ eI, ɔɪ OI, oʊ oU, əʊ oU, iə i@,"
    "eə e@, ʊə U@, aɪə aI@, aɪɚ aI3, ɑːɹ A@, ɔːɹ O@, ɛɹ e@, ɪɹ i@3, ʊɹ U@, oː o@"
)
_MNEMONIC: Final = re.compile("|".join(sorted(MNEMONICS, key=len, reverse=True)))

# IPA to the alphabet that Kokoro was trained on: diphthongs and affricates are one symbol.
_KOKORO: Final = _table(
    "aɪ I, aʊ W, eɪ A, oʊ O, əʊ Q, ɔɪ Y, dʒ ʤ, tʃ ʧ, əl ᵊl, n̩ ᵊn, ʔn̩ ʔn, ɚ əɹ, ɚɹ əɹ, r ɹ, ɐ ə, x k, ç k, ɬ l"
)
_KOKORO_BRITISH: Final = _KOKORO | _table("eə ɛː, iə ɪə")
_KOKORO_AMERICAN: Final = _KOKORO | _table("ɜːɹ ɜɹ, ɜː ɜɹ") | {"ː": ""}


def of_text(text: str) -> str | None:
    """The phonemes if a text is phonemes between slashes, else None."""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == "/" else None


def between_slashes(words: Iterable[Iterable[str]]) -> str:
    """Words of phonemes as a text that engines read as phonemes."""
    return f"/{' '.join(''.join(word) for word in words)}/"


def bare(words: Iterable[Iterable[str]]) -> str:
    """Phonemes end to end without stress, length or spaces: what two texts must share to sound alike."""
    return re.sub(f"[{_STRESS}ː]", "", "".join("".join(word) for word in words))


def has_vowel(phonemes: Iterable[str]) -> bool:
    """Whether there is something to say aloud."""
    return any(symbol in _VOWELS for phoneme in phonemes for symbol in phoneme)


def mnemonics(ipa: str) -> str:
    """English IPA as espeak-ng reads it, for example ``[[a#l'E]]``; what the table lacks is left out."""
    marks = {"ˈ": "'", "ˌ": ","}
    tokens = re.findall(f"[{_STRESS} ]|{_MNEMONIC.pattern}", ipa)
    return f"[[{''.join(marks.get(token) or MNEMONICS.get(token, token) for token in tokens)}]]"


def kokoro_symbols(ipa: str, *, british: bool) -> str:
    """English IPA in Kokoro's alphabet, for example ``həlˈO`` for ``həlˈoʊ``."""
    table = _KOKORO_BRITISH if british else _KOKORO_AMERICAN
    symbols = re.compile("|".join(sorted(table, key=len, reverse=True)))
    return symbols.sub(lambda match: table[match.group()], ipa)
