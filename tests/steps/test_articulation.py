"""Speech sounds: which are alike, that their unlikeness is a metric, and that no sound of espeak-ng is missing."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import numpy as np
import pytest
import wordfreq

from steps.articulation import is_vowel, split_sounds, unknown_letters, unlikeness
from steps.espeak_ng import languages, phonemes_of_each

VOWELS = [*"ieɛæaəɐʌʊɚyøœɨɯɪ", "ɑː", "ɔː", "uː", "ɜː", "aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ"]
OBSTRUENTS = [*"pbtdkɡfvθðszʃʒxhʔ", "tʃ", "dʒ"]
OTHERS = [*"mnŋlɹrɾjw"]
ENGLISH = [*VOWELS, *OBSTRUENTS, *OTHERS]


def apart(sound: str, other: str) -> float:
    return float(unlikeness(split_sounds([sound]), split_sounds([other]))[0, 0])


def test_unlikeness_is_a_metric() -> None:
    matrix = unlikeness(ENGLISH, ENGLISH)
    assert (matrix >= 0.0).all()
    assert (matrix <= 1.0).all()
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(matrix == 0.0, np.eye(len(ENGLISH), dtype=bool))
    # From one to another by way of a third is never shorter: [from, third, to].
    assert (matrix[:, None, :] <= matrix[:, :, None] + matrix[None, :, :] + 1e-12).all()


def test_no_vowel_is_farther_from_a_vowel_than_any_obstruent() -> None:
    assert (unlikeness(VOWELS, VOWELS).max(axis=1) <= unlikeness(VOWELS, OBSTRUENTS).min(axis=1)).all()
    assert unlikeness(VOWELS, VOWELS).mean() < 0.65 < unlikeness(VOWELS, OTHERS).mean() < 1.0


@pytest.mark.parametrize(
    ("sound", "near", "far"),
    [
        ("p", "b", "k"),
        ("t", "d", "s"),
        ("s", "ʃ", "f"),
        ("s", "z", "t"),
        ("m", "n", "p"),
        ("l", "ɹ", "d"),
        ("ɾ", "d", "t"),
        ("i", "ɪ", "ɛ"),
        ("ɛ", "æ", "u"),
        ("ə", "ɐ", "ɔː"),
        ("ə", "ɚ", "ɹ"),
        ("j", "i", "k"),
        ("w", "u", "t"),
        ("tʃ", "dʒ", "k"),
        ("iː", "i", "ɪ"),
        ("ʌ", "ə", "i"),
    ],
)
def test_similar_sounds_are_nearer(sound: str, near: str, far: str) -> None:
    assert 0.0 < apart(sound, near) < apart(sound, far)


@pytest.mark.parametrize("whole", ["aɪ", "eɪ", "ɔɪ", "tʃ", "dʒ", "ts"])
def test_a_diphthong_or_affricate_lies_between_its_ends(whole: str) -> None:
    first, last = whole[0], whole[1]
    assert apart(whole, first) + apart(whole, last) == pytest.approx(apart(first, last))
    assert apart(whole, first) == pytest.approx(apart(whole, last))


def test_ways_of_writing_are_the_same() -> None:
    assert split_sounds(["t͡ʃ", "ʧ", "tʃ"]) == ["tʃ", "tʃ", "tʃ"]
    assert split_sounds(["ˈaɪ", "ˌaɪ", "aɪ", "aɪ5", "aɪ˥"]) == ["aɪ"] * 5
    assert split_sounds(["ɡ", "g"]) == ["ɡ", "ɡ"]
    assert split_sounds(["aɪɚ", "ɑːɹ"]) == ["aɪ", "ɚ", "ɑː", "ɹ"]
    assert split_sounds(["əl", "iə", "juː"]) == ["ə", "l", "iə", "j", "uː"]
    assert split_sounds(["ˈ", "", "5"]) == []
    assert split_sounds(["ç", "ã", "tʰ"]) == ["ç", "a\u0303", "t"]


def test_vowels_are_known_from_consonants() -> None:
    assert all(map(is_vowel, [*VOWELS, "n̩"]))
    assert not any(map(is_vowel, [*OBSTRUENTS, *OTHERS]))


def test_a_letter_that_is_not_in_the_table_is_like_no_other() -> None:
    assert unknown_letters(["a", "ꙮ", "ˈtʃ", "ː"]) == {"ꙮ"}
    assert apart("ꙮ", "a") == 1.0


@pytest.mark.parametrize("language", ["en-us", "en-gb", "en-gb-scotland", "en-029"])
def test_every_sound_of_english_is_known(language: str) -> None:
    words = wordfreq.top_n_list("en", 8_000, wordlist="small")
    spoken = [phoneme for text in phonemes_of_each(words, language=language) for word in text for phoneme in word]
    assert len(set(spoken)) > 60
    assert unknown_letters(spoken) == set()


def test_every_sound_of_every_language_with_a_list_of_words_is_known() -> None:
    names = {"zh": "cmn", "sh": "hr", "fil": None}
    unknown: dict[str, set[str]] = {}
    tried = 0
    for code in wordfreq.available_languages("small"):
        language = names.get(code, code)
        if language is None or language not in languages():
            continue
        words = wordfreq.top_n_list(code, 150, wordlist="small")
        found = unknown_letters(p for text in phonemes_of_each(words, language=language) for word in text for p in word)
        tried += 1
        if found:
            unknown[language] = found
    assert tried > 30
    assert unknown == {}
