"""IPA in the phones of the CMU dictionary: what Flite and Festival are told to say."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import re

import pytest

from steps import espeak_ng
from steps.sentences import write_sentences
from steps.tts.arpabet import spell, syllables


@pytest.mark.parametrize(
    ("ipa", "expected"),
    [
        ("ɐlˈɛksə", "ax / 'l eh k / s ax"),
        ("hˈeɪ", "'hh ey"),
        ("nˈænoʊ", "'n ae / n ow"),
        ("kəmpjˈuːɾɚ", "k ax m p / 'y uw / t er"),
        ("dʒˈɑːɹvɪs", "'jh aa r / v ih s"),
        ("ˌʌndɚstˈænd", "ah n / d er s / 't ae n d"),
        ("ks", "ax k s"),
        ("", ""),
    ],
)
def test_syllables(ipa: str, expected: str) -> None:
    got = " / ".join(("'" if stressed else "") + " ".join(phones) for phones, stressed in syllables(ipa))
    assert got == expected


def test_all_sounds_of_english_are_known() -> None:
    sentences = write_sentences(300, seed=3, accept=lambda _: True)
    for language in ("en-us", "en-gb"):
        sounds = {sound for text in sentences for word in espeak_ng.phonemes(text, language=language) for sound in word}
        unsaid = {sound for sound in sounds if re.sub("[ˈˌ]", "", sound) and not syllables(sound)}
        assert unsaid == set()


def test_words_get_spellings_of_their_own_and_punctuation_stays() -> None:
    lexicon: dict[str, str] = {}
    first = spell("hˈeɪ, nˈænoʊ!", lexicon)
    assert re.fullmatch(r"[a-z]+, [a-z]+!", first)
    assert spell("nˈænoʊ", lexicon) == first[:-1].split()[1]
    assert len(set(lexicon.values())) == len(lexicon) == 2
    assert spell("?", lexicon) == "?"
