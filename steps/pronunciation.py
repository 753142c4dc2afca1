"""A pronunciation in IPA: read from a person, checked, and written for espeak-ng.

English goes through the table of `steps.phonemes`, whose mnemonics come out right in every accent; other languages
through the sounds that espeak-ng itself says it has (`steps.espeak_ng.alphabet`).
"""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

from nanowakeword.errors import ConfigError
from steps import espeak_ng
from steps.phonemes import MNEMONICS, has_vowel, mnemonics

__all__ = ["can_be_said", "espeak_text", "read_pronunciation", "split_ipa"]

_MARKS: Final = {"ˈ": "'", "ˌ": ","}
# What people write, and dictionaries, for what espeak-ng writes otherwise.
_SPELLINGS: Final = {"g": "ɡ", "ʧ": "tʃ", "ʤ": "dʒ", "'": "ˈ", "t͡ʃ": "tʃ", "d͡ʒ": "dʒ", "͡": "", ".": "", "‿": ""}
_SPELLINGS_OF_ENGLISH: Final = {"r": "ɹ", "ɝ": "ɜː", "ɹ̩": "ɚ", "ɫ": "l", "l̩": "əl", "ɑɹ": "ɑːɹ", "ɔɹ": "ɔːɹ"}
_PUNCTUATION: Final = re.compile(r"([,.;:!?…]+)")


def read_pronunciation(ipa: str, *, language: str) -> list[list[str]]:
    """Words of a pronunciation, each a list of phonemes, a stress mark in front of its vowel, as espeak-ng writes them.

    Args:
        ipa: words apart by spaces; slashes or square brackets around it, dots between syllables and ties are dropped.
        language: a code of espeak-ng.

    Raises:
        ConfigError: there is a symbol that engines cannot say in that language, or nothing to say aloud.
    """
    if language.lower() not in espeak_ng.languages():
        raise ConfigError("wakeword.language", got=repr(language), expected="a language code of espeak-ng")
    text = ipa.strip().strip("/[]")
    for theirs, ours in (_SPELLINGS | (_SPELLINGS_OF_ENGLISH if _is_english(language) else {})).items():
        text = text.replace(theirs, ours)
    known, sounds = _sounds(language), _pattern(language)
    words: list[list[str]] = []
    unknown: list[str] = []
    for word in text.split():
        stress = ""
        words.append([])
        for token in re.findall(f"[ˈˌ]|{sounds.pattern}|.", word):
            if token in _MARKS:
                stress = token
            elif token not in known:
                unknown.append(token)
            elif stress and has_vowel([token]):
                words[-1].append(stress + token)
                stress = ""
            else:
                words[-1].append(token)
    if unknown:
        raise ConfigError(
            "wakeword.pronunciation",
            got=f"{ipa!r}, of which {', '.join(dict.fromkeys(unknown))} cannot be said in {language}",
            expected=f"IPA of {' '.join(sorted(known))}",
            hint='nanowakeword say "the phrase" shows the phonemes to start from',
        )
    if not has_vowel(sound for word in words for sound in word):
        raise ConfigError("wakeword.pronunciation", got=repr(ipa), expected="IPA with a vowel in it, or null")
    return words


def espeak_text(ipa: str, *, language: str) -> str:
    """Phonemes with punctuation as espeak-ng reads them, for example ``[[h'eI]], [[n'anoU]]!``.

    What the language lacks is left out.
    """
    parts = []
    for part in _PUNCTUATION.split(ipa):
        if _PUNCTUATION.fullmatch(part):
            parts.append(part)
        elif part.strip():
            parts.append(mnemonics(part.strip()) if _is_english(language) else _mnemonics(part.strip(), language))
    return re.sub(r"(?<=[,.;:!?…])(?=\[)", " ", "".join(parts))


def _mnemonics(ipa: str, language: str) -> str:
    """Phonemes of a language that is not English; bars keep ``o`` and ``U`` from being read as ``oU``."""
    known = _sounds(language)
    tokens = re.findall(f"[ˈˌ ]|{_pattern(language).pattern}", ipa)
    return "[[" + "".join(f"{known[t]}|" if t in known else _MARKS.get(t, t) for t in tokens) + "]]"


def _is_english(language: str) -> bool:
    return language.lower().split("-")[0] == "en"


def can_be_said(phonemes: Iterable[str], *, language: str) -> bool:
    """Whether engines can be told to say phonemes of a language in IPA, with or without stress marks."""
    return all(phoneme.lstrip("ˈˌ") in _sounds(language) for phoneme in phonemes)


def split_ipa(ipa: str, *, language: str) -> list[str]:
    """Phonemes of a text in IPA, without stress marks and spaces; what the language lacks is split into its letters.

    Where a phoneme ends is not known: /tʃ/ is taken for one.
    """
    return re.findall(rf"{_pattern(language).pattern}|[^ˈˌ\s]", ipa)


@functools.cache
def _sounds(language: str) -> Mapping[str, str]:
    """IPA of a language's sounds to espeak-ng's mnemonics."""
    return MNEMONICS if _is_english(language) else espeak_ng.alphabet(language)


@functools.cache
def _pattern(language: str) -> re.Pattern[str]:
    """One sound, the longest that fits."""
    return re.compile("|".join(map(re.escape, sorted(_sounds(language), key=len, reverse=True))))
