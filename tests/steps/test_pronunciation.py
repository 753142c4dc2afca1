"""A pronunciation in IPA: read as people write it, refused where it cannot be said, and heard by espeak-ng as it is."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.errors import ConfigError
from steps import espeak_ng
from steps.__main__ import main
from steps.pronunciation import espeak_text, read_pronunciation
from steps.settings import parse_settings

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("written", "language", "expected"),
    [
        ("ɐlˈɛksə", "en-us", "ɐlˈɛksə"),
        ("/əˈlɛk.sə/", "en-us", "əlˈɛksə"),
        ("[ˈd͡ʒɑrvɪs]", "en-us", "dʒˈɑːɹvɪs"),
        (" haˈloː  ˈgugəl ", "de", "halˈoː ɡˈuɡəl"),
        ("haˈloː ˈjʏʁɡən", "de", "halˈoː jˈʏʁɡən"),
        ("bɔ̃ˈʒuʁ", "fr-fr", "bɔ̃ʒˈuʁ"),
    ],
)
def test_as_people_write_it(written: str, language: str, expected: str) -> None:
    assert " ".join("".join(word) for word in read_pronunciation(written, language=language)) == expected


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("ɣa", "of which ɣ cannot be said in en-us; expected IPA of a aɪ"),
        ("alexa!", "of which e, x, ! cannot be said"),
        ("ks", "a vowel in it"),
        ("", "a vowel in it"),
    ],
)
def test_what_cannot_be_said_is_named(written: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"wakeword\.pronunciation; got") as caught:
        read_pronunciation(written, language="en-us")
    assert words in str(caught.value)


@given(st.text(max_size=20), st.sampled_from(["en-us", "de", "ru"]))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str, language: str) -> None:
    try:
        words = read_pronunciation(text, language=language)
    except ConfigError:
        return
    again = " ".join("".join(word) for word in words)
    assert read_pronunciation(again, language=language) == words
    assert espeak_text(again, language=language).startswith("[[")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Hallo Jürgen Computer Öffne die Tür Straße Licht"),
        ("fr-fr", "bonjour maison ordinateur"),
        ("es", "hola ordenador señor"),
        ("pl", "dzień dobry komputer"),
        ("ru", "привет компьютер"),
        ("ja", "こんにちは"),
    ],
)
def test_sounds_of_other_languages_come_back_as_they_went(language: str, text: str) -> None:
    words = ["".join(word) for word in espeak_ng.phonemes(text, language=language)]
    spelled = espeak_text(" ".join(words), language=language)
    heard = espeak_ng.phonemes(spelled, language=language)  # it reads brackets, now that they have been spoken
    assert [word.replace("ˌ", "").replace("ˈ", "") for word in words] == [
        "".join(word).replace("ˌ", "").replace("ˈ", "") for word in heard
    ]


def test_punctuation_stays_outside_the_brackets() -> None:
    assert espeak_text("hˈeɪ, nˈænoʊ!", language="en-us") == "[[h'eI]], [[n'anoU]]!"
    assert espeak_text("halˈoː?", language="de") == "[[h|a|l|'o:|]]?"


def test_the_setting_is_checked_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"wakeword\.pronunciation: is empty; expected the phrase in IPA"):
        parse_settings(PARAMS.replace("pronunciation: null", 'pronunciation: "//"'), source="params.yaml")
    (tmp_path / "params.yaml").write_text(PARAMS.replace("pronunciation: null", "pronunciation: ɣa"), "utf-8")
    assert main(["check", "--workspace", str(tmp_path)]) == 1
    assert "of which ɣ cannot be said in en-us" in capsys.readouterr().err
    assert main(["phrases", "--workspace", str(tmp_path)]) == 1
