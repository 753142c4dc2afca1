"""How unlike two speech sounds are, from how and where the mouth makes them.

A letter of the International Phonetic Alphabet is a point: for each articulatory feature a number, weighted by how much
it changes what is heard. The unlikeness of two letters is the sum of the differences, 1 at most. Multivalued features
with weights follow

    G. Kondrak, A New Algorithm for the Alignment of Phonetic Sequences, NAACL 2000.  https://aclanthology.org/A00-2038/

The numbers are our own. Kondrak aligns related words, whose vowels drift; here vowels count as much as consonants, and
voice and place count less than manner and nasality, as for listeners in noise:

    G. A. Miller, P. E. Nicely, An analysis of perceptual confusions among some English consonants, JASA 27 (1955).
    https://doi.org/10.1121/1.1907526

A diphthong or affricate is a beginning and an end, so that /aɪ/ is half way to /a/ and half way to /ɪ/. Stress, tone
and syllable marks count for nothing.
"""

# ruff: noqa: RUF001, RUF002, RUF003 -- the letters of IPA look like others

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["is_vowel", "split_sounds", "unknown_letters", "unlikeness"]


class _Point(NamedTuple):
    """A letter; each feature is in units of the unlikeness that it makes."""

    syllabic: float = 0.0
    manner: float = 0.0  # 0 open to 1 closed
    place: float = 0.0  # 0 lips to 1 glottis
    voice: float = 0.0
    nasal: float = 0.0
    sibilant: float = 0.0
    lateral: float = 0.0
    rhotic: float = 0.0
    height: float = 0.5
    back: float = 0.5
    round: float = 0.0
    long: float = 0.0
    unknown: float = 0.0


# So /p/ and /b/ are 0.4 apart, /t/ and /k/ 0.5, /t/ and /s/ 0.7, /ɪ/ and /ɛ/ 0.5, /i/ and /u/ 0.6.
_WEIGHTS: Final = _Point(
    syllabic=0.6,
    manner=1.0,
    place=1.2,
    voice=0.4,
    nasal=0.5,
    sibilant=0.3,
    lateral=0.3,
    rhotic=0.3,
    height=1.0,
    back=0.4,
    round=0.15,
    long=0.05,
    unknown=1.0,
)

_PLACES: Final = {
    "labial": 0.0,
    "labiodental": 0.1,
    "dental": 0.3,
    "alveolar": 0.4,
    "postalveolar": 0.6,
    "retroflex": 0.55,
    "palatal": 0.7,
    "velar": 0.8,
    "uvular": 0.85,
    "pharyngeal": 0.95,
    "glottal": 1.0,
}
# Voiceless and voiced letters at the places above, in their order; "-": there is none.
_CONSONANTS: Final = {
    "stop": "pb -- -- td -- ʈɖ cɟ kɡ qɢ -- ʔ-",
    "nasal": "-m -ɱ -- -n -- -ɳ -ɲ -ŋ -ɴ -- --",
    "trill": "-ʙ -- -- -r -- -- -- -- -ʀ -- --",
    "tap": "-- -ⱱ -- -ɾ -- -ɽ -- -- -- -- --",
    "fricative": "ɸβ fv θð -- -- -- çʝ xɣ χʁ ħʕ hɦ",
    "sibilant": "-- -- -- sz ʃʒ ʂʐ ɕʑ -- -- -- --",
    "lateral fricative": "-- -- -- ɬɮ -- -- -- -- -- -- --",
    "approximant": "-- -ʋ -- -ɹ -- -ɻ -j ʍɰ -- -- --",
    "lateral": "-- -- -- -l -- -ɭ -ʎ -ʟ -- -- --",
}
_MANNERS: Final = {
    "stop": 1.0,
    "nasal": 0.7,
    "trill": 0.6,
    "tap": 0.8,
    "fricative": 0.6,
    "sibilant": 0.6,
    "lateral fricative": 0.6,
    "approximant": 0.2,
    "lateral": 0.3,
}
_RHOTIC: Final = frozenset("rʀɹɻɾɽʁ")
# From close to open; in a row front, central and back, each unrounded and rounded.
_VOWELS: Final = {
    1.0: "iy ɨʉ ɯu",
    0.85: "ɪʏ ᵻᵿ -ʊ",
    0.7: "eø ɘɵ ɤo",
    0.55: "-- ə- --",
    0.4: "ɛœ ɜɞ ʌɔ",
    0.2: "æ- -- --",
    0.3: "-- ɐ- --",
    0.0: "aɶ -- ɑɒ",
}
_BACKNESS: Final = (0.0, 0.5, 1.0)


def _consonants() -> dict[str, _Point]:
    points: dict[str, _Point] = {}
    for manner, row in _CONSONANTS.items():
        for place, letters in zip(_PLACES.values(), row.split(), strict=True):
            for voice, letter in enumerate(letters):
                points[letter] = _Point(
                    manner=_MANNERS[manner],
                    place=place,
                    voice=float(voice),
                    nasal=float(manner == "nasal"),
                    sibilant=float(manner == "sibilant"),
                    lateral=float("lateral" in manner),
                    rhotic=float(letter in _RHOTIC),
                )
    return points


def _vowels() -> dict[str, _Point]:
    return {
        letter: _Point(
            syllabic=1.0, place=_PLACES["palatal"], voice=1.0, height=height, back=back, round=float(rounded)
        )
        for height, row in _VOWELS.items()
        for back, letters in zip(_BACKNESS, row.split(), strict=True)
        for rounded, letter in enumerate(letters)
    }


def _letters() -> dict[str, _Point]:
    points = _consonants() | _vowels()
    points |= {
        # Glides are close vowels that make no syllable.
        "j": points["j"]._replace(height=1.0, back=0.0),
        "ɥ": points["j"]._replace(height=1.0, back=0.0, round=1.0),
        "w": points["ɰ"]._replace(height=1.0, back=1.0, round=1.0),
        "ʍ": points["ʍ"]._replace(height=1.0, back=1.0, round=1.0),
        "ɚ": points["ə"]._replace(rhotic=1.0),
        "ɝ": points["ɜ"]._replace(rhotic=1.0),
        "ɫ": points["l"]._replace(back=1.0),
        "ɧ": points["ʃ"]._replace(place=_PLACES["velar"]),
        "ʌ": points["ʌ"]._replace(back=0.75),  # as in English
        "ɺ": points["l"]._replace(manner=_MANNERS["tap"], rhotic=1.0),
    }
    # Airstreams that none of our languages tells words apart by.
    plain = _pairs("ɓ b, ɗ d, ᶑ ɖ, ʄ ɟ, ɠ ɡ, ʛ ɢ, ǀ t, ǃ t, ǂ c, ǁ t, ʘ p")
    points |= {letter: points[other] for letter, other in plain.items()}
    del points["-"]
    return points


def _pairs(text: str) -> dict[str, str]:
    """A table from ``"x y, z w"``."""
    return dict(pair.split() for pair in text.split(","))


_LETTERS: Final = _letters()
_SPELLINGS: Final = str.maketrans(_pairs("g ɡ, ʦ ts, ʣ dz, ʧ tʃ, ʤ dʒ, ʨ tɕ, ʥ dʑ, ε ɛ"))
# What a mark after a letter changes; all other marks change nothing.
_MARKS: Final[dict[str, dict[str, float]]] = {
    "ː": {"long": 1.0},
    "ˑ": {"long": 0.5},
    "\u0303": {"nasal": 1.0},
    "\u0329": {"syllabic": 1.0},
    "\u032f": {"syllabic": 0.0},
    "\u0325": {"voice": 0.0},
    "\u030a": {"voice": 0.0},
    "\u032a": {"place": _PLACES["dental"]},
    "˞": {"rhotic": 1.0},
    "ʷ": {"round": 1.0},
    "ʲ": {"height": 1.0, "back": 0.0},
}
_UNKNOWN: Final = _Point(unknown=1.0)


def split_sounds(phonemes: Iterable[str]) -> list[str]:
    """Phonemes in IPA as the sounds that `unlikeness` compares: one letter, or two in a diphthong or affricate.

    Longer phonemes of espeak-ng are cut, /aɪɚ/ into /aɪ/ and /ɚ/, /ɑːɹ/ into /ɑː/ and /ɹ/; stress, tone and syllable
    marks are left out.
    """
    return [sound for phoneme in phonemes for sound in _split(phoneme)]


@functools.cache
def _split(phoneme: str) -> tuple[str, ...]:
    sounds: list[str] = []
    n_letters = 0  # of the last sound
    # Marks apart from their letters, but for the cedilla, which is part of one.
    signs = unicodedata.normalize("NFD", phoneme).replace("c\u0327", "ç").translate(_SPELLINGS)
    for sign in signs:
        if _is_letter(sign) and n_letters == 1 and _is_syllabic(sign) == _is_syllabic(sounds[-1][0]):
            sounds[-1] += sign
            n_letters = 2
        elif _is_letter(sign):
            sounds.append(sign)
            n_letters = 1
        elif sounds and sign in _MARKS:
            sounds[-1] += sign
    return tuple(sounds)


def unlikeness(sounds: Sequence[str], others: Sequence[str]) -> npt.NDArray[np.float64]:
    """How unlike sounds are, ``[len(sounds), len(others)]``, 0 for the same to 1; a metric.

    A letter that is not in the table is 1 from every other one.
    """
    first, second = (
        np.array([_ends(sound) for sound in part]).reshape(-1, 2, len(_WEIGHTS)) for part in (sounds, others)
    )
    apart = np.abs(first[:, None] - second[None]) @ np.array(_WEIGHTS)  # [sounds, others, beginning and end]
    matrix: npt.NDArray[np.float64] = np.minimum(apart, 1.0).mean(axis=-1)
    return matrix


def is_vowel(sound: str) -> bool:
    """Whether a sound is, or ends as, the middle of a syllable."""
    return any(point.syllabic > 0.0 for point in _points(sound))


def unknown_letters(phonemes: Iterable[str]) -> set[str]:
    """Letters that the table lacks."""
    return {letter for sound in split_sounds(phonemes) for letter in sound if _is_letter(letter)} - set(_LETTERS)


def _is_syllabic(letter: str) -> bool:
    return _LETTERS.get(letter, _UNKNOWN).syllabic > 0.0


def _is_letter(sign: str) -> bool:
    return unicodedata.category(sign) in {"Ll", "Lo", "Lu"}


def _ends(sound: str) -> tuple[_Point, _Point]:
    """How a sound begins and how it ends."""
    points = _points(sound)
    return points[0], points[-1]


@functools.cache
def _points(sound: str) -> list[_Point]:
    """The letters of a sound, with their marks."""
    points: list[_Point] = []
    for sign in sound:
        if sign in _MARKS:
            points[-1] = points[-1]._replace(**_MARKS[sign])
        else:
            points.append(_LETTERS.get(sign, _UNKNOWN))
    return points
