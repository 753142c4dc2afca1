"""The texts to speak: what is in the file, what must never be in it, and how phonemes are carried to the engines."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.errors import ConfigError
from steps.espeak_ng import languages, phonemes, speak
from steps.phonemes import bare, has_vowel, kokoro_symbols, mnemonics, of_text
from steps.phrases import part_phrase, pronounce, vary_phrase
from steps.sentences import write_sentences
from steps.stage import run_stage
from steps.vocabulary import WORDS

REPOSITORY = Path(__file__).parents[2]


def write_phrases(
    root: Path, *, phrase: str, sentences: int = 300, neighbours: int = 0, seed: int = 7
) -> dict[str, Any]:
    """Run the stage in a workspace; returns what it wrote."""
    text = (REPOSITORY / "params.yaml").read_text("utf-8")
    text = (
        text.replace("neighbours: 400", f"neighbours: {neighbours}")
        .replace("phrase: hey nano", f"phrase: {phrase}")
        .replace("seed: 7", f"seed: {seed}", 1)
    )
    root.mkdir(exist_ok=True)
    (root / "params.yaml").write_text(text.replace("sentences: 1200", f"sentences: {sentences}"), "utf-8")
    run_stage("phrases", root=root)
    document: dict[str, Any] = json.loads((root / "artifacts" / "phrases" / "phrases.json").read_text("utf-8"))
    return document


def test_the_file_has_what_the_next_stage_reads(tmp_path: Path) -> None:
    document = write_phrases(tmp_path, phrase="alexa", neighbours=80)
    assert list(document) == [
        *("phrase", "language", "phonemes", "positives", "partials"),
        *("min_distance", "neighbours", "sentences"),
    ]
    assert (document["phrase"], document["language"], document["phonemes"]) == ("alexa", "en-us", "ɐlˈɛksə")
    assert document["positives"] == ["alexa", "alexa.", "alexa!", "alexa?", "alexa,", "alexa..."]
    assert document["partials"] == ["/ɐl/", "/sə/", "/ɐlˈɛ/", "/ksə/", "/ksə ɐlˈɛ/"]
    assert len(set(document["sentences"])) == 300
    assert 60 < len(document["neighbours"]) < 100
    assert document["min_distance"] == 0.4
    assert list(document["neighbours"][0]) == ["text", "distance", "kind"]
    lines = (tmp_path / "artifacts" / "phrases" / "phrases.json").read_text("utf-8").splitlines()
    assert sum(line.startswith('    {"text": ') for line in lines) == len(document["neighbours"])  # one on each


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    first, again, other = (
        write_phrases(tmp_path / name, phrase="alexa", seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first["sentences"] != other["sentences"]


def test_no_sentence_sounds_like_the_phrase(tmp_path: Path) -> None:
    document = write_phrases(tmp_path, phrase="the lamp", sentences=1500)
    assert any("lamp" in sentence for sentence in document["sentences"])
    assert not [s for s in document["sentences"] if "ðəlæmp" in bare(phonemes(s, language="en-us"))]
    assert not [s for s in document["sentences"] if "the lamp" in s.lower()]


def test_phrases_of_several_words_have_their_words_as_parts() -> None:
    parts = part_phrase("hey nano", language="en-us")
    assert {"hey", "nano", "nano hey", "/noʊ/", "/ˌænoʊ hˈeɪ n/"} <= set(parts)
    assert "hey, nano" in vary_phrase("hey nano")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from([*WORDS["name"], *WORDS["interjection"], "a", "no", "x"]), min_size=1, max_size=4))
def test_no_part_holds_the_phrase_and_each_can_be_said(words: list[str]) -> None:
    phrase = " ".join(words)
    whole = bare(pronounce(phrase, language="en-us"))
    for part in part_phrase(phrase, language="en-us"):
        ipa = of_text(part)
        said = bare([[ipa.replace(" ", "")]]) if ipa else bare(phonemes(part, language="en-us"))
        assert whole not in said
        assert has_vowel(said)


def test_parts_in_another_language_are_phonemes_or_else_letters() -> None:
    assert {"hallo", "Küche", "/hˈaloː/", "/kˈʏçə/"} <= set(part_phrase("hallo Küche", language="de"))
    assert not [part for part in part_phrase("привет", language="ru") if of_text(part)]


@pytest.mark.parametrize(
    ("phrase", "language", "words"),
    [
        ("привет", "en-us", ["'привет'", "en-us", "Latin letters", "ru"]),
        ("你好", "en-us", ["你好", "Latin", "cmn"]),
        ("γεια", "de", ["γεια", "Latin", "el"]),
        ("hello", "klingon", ["wakeword.language", "'klingon'", "language code"]),
        ("hello", "en-uk", ["wakeword.language", "en-us"]),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(phrase: str, language: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        pronounce(phrase, language=language)
    assert not [word for word in words if word not in str(caught.value)]


def test_a_refused_phrase_leaves_the_earlier_file(tmp_path: Path) -> None:
    before = write_phrases(tmp_path, phrase="alexa")
    with pytest.raises(ConfigError):
        write_phrases(tmp_path, phrase="привет")
    assert json.loads((tmp_path / "artifacts" / "phrases" / "phrases.json").read_text("utf-8")) == before


def test_sentences_are_many_short_and_long_and_the_first_stay_the_first() -> None:
    many = write_sentences(6000, seed=3, accept=lambda _: True)
    assert len(set(many)) == 6000
    assert many[:100] == write_sentences(100, seed=3, accept=lambda _: True)
    lengths = [len(sentence.split()) for sentence in many[:1200]]
    assert max(lengths) <= 14
    assert 0.25 < sum(length <= 2 for length in lengths) / 1200 < 0.45
    assert len({word.strip(".,!?") for sentence in many for word in sentence.lower().split()}) > 900


def test_a_grammar_that_runs_dry_says_so() -> None:
    with pytest.raises(ConfigError, match=r"phrases\.sentences; got 3; expected at most 0"):
        write_sentences(3, seed=1, accept=lambda _: False)


def test_languages_have_their_usual_names() -> None:
    assert {"en-us", "en-gb", "de", "ru", "cmn", "pt-br"} <= set(languages())


@pytest.mark.parametrize(
    "word", ["alexa", "button", "computer", "fire", "farm", "judge", "orange", "soft", "thought", "vision"]
)
def test_espeak_hears_our_mnemonics_as_the_word(word: str) -> None:
    ipa = " ".join("".join(part) for part in phonemes(word, language="en-us"))
    # What was said before colours the first one.
    _, spelled = (speak(word, voice="en-us+m3", words_per_minute=175) for _ in range(2))
    sounded = speak(mnemonics(ipa), voice="en-us+m3", words_per_minute=175, mnemonics=True)
    assert len(sounded) == pytest.approx(len(spelled), rel=0.03)
    # The same levels in each tenth and band; another vowel makes a difference of 1 and more where it is.
    assert np.abs(_levels(sounded) - _levels(spelled)).mean() < 0.35


def _levels(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Logarithm of the energy in 10 pieces by 16 bands of 250 Hz."""
    pieces = np.array_split(samples.astype(np.float64), 10)
    spectra = np.stack([np.square(np.abs(np.fft.rfft(piece, 4096)[1:737])) for piece in pieces])
    levels: npt.NDArray[np.float64] = np.log(1.0 + spectra.reshape(10, 16, -1).sum(axis=-1))
    return levels


def test_kokoro_reads_every_symbol_and_what_its_own_lexicon_has() -> None:
    # hibari was trained on Kokoro's alphabet; its lexicon is not ours, and says the same in it.
    assets = files("hibari") / "assets"
    vocabulary = json.loads((assets / "vocab.json").read_text("utf-8"))
    lexicon = json.loads(gzip.decompress((assets / "lexicon_us_gold.json.gz").read_bytes()))
    spoken = {
        word: kokoro_symbols("".join(phonemes(word, language="en-us")[0]), british=False)
        for words in WORDS.values()
        for word in words
        if word.isalpha() and word.islower()
    }
    assert not {symbol for symbols in spoken.values() for symbol in symbols} - set(vocabulary)
    both = [word for word in spoken if isinstance(lexicon.get(word), str)]
    same = [word for word in both if spoken[word].strip() == lexicon[word]]
    # The rest differ in reduced vowels and secondary stress.
    assert len(both) > 500
    assert len(same) / len(both) > 0.65
