"""Which letters a language is written in, as far as espeak-ng reads it."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["foreign_letters", "languages_written_like", "scripts_of"]

# First word of the Unicode names of a script's letters, and first parts of the language codes. All others are Latin.
_SCRIPTS: Final = {
    "ARABIC": "ar fa sd ug ur",
    "ARMENIAN": "hy hyw",
    "BENGALI": "as bn bpy",
    "CHEROKEE": "chr",
    "CJK": "cmn hak ja yue zh",
    "CYRILLIC": "ba be bg cv kk ky mk ru sr tt uk",
    "DEVANAGARI": "hi kok mr ne",
    "ETHIOPIC": "am ti",
    "GEORGIAN": "ka",
    "GREEK": "el grc",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KANNADA": "kn",
    "KATAKANA": "ja",
    "MALAYALAM": "ml",
    "MYANMAR": "my shn",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}


def scripts_of(language: str) -> list[str]:
    """Scripts of a language; Latin is read in every one."""
    code = language.lower().split("-")[0]
    return [*(script for script, codes in _SCRIPTS.items() if code in codes.split()), "LATIN"]


def foreign_letters(text: str, *, language: str) -> str:
    """Letters of a text that the language is not written in, each once."""
    known = scripts_of(language)
    return "".join(
        dict.fromkeys(c for c in text if c.isalpha() and unicodedata.name(c, "UNKNOWN").split()[0] not in known)
    )


def languages_written_like(letter: str) -> list[str]:
    """Codes of the languages that use a letter's script."""
    return _SCRIPTS.get(unicodedata.name(letter, "UNKNOWN").split()[0], "").split()
