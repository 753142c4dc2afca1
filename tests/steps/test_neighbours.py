"""What sounds like a phrase: words and edited phonemes, every word replaced, ranked, and never the phrase itself."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import functools
from collections import Counter
from itertools import groupby, pairwise

import pytest

from steps.articulation import is_vowel, split_sounds
from steps.espeak_ng import phonemes
from steps.lexicon import read_lexicon
from steps.neighbours import Neighbour, find_neighbours
from steps.phoneme_edits import edit_phonemes, rearrange_phonemes
from steps.phonemes import of_text
from steps.phonetic_distance import Pronunciations, phrase_distances
from steps.phrases import pronounce
from steps.pronunciation import can_be_said, split_ipa
from steps.similar_words import similar_words
from steps.spoken_texts import pronounce_each


@functools.cache
def neighbours(phrase: str, language: str = "en-us", seed: int = 7) -> list[Neighbour]:
    spoken = pronounce(phrase, language=language)
    return find_neighbours(phrase, spoken, language=language, n=240, seed=seed)


def texts(found: list[Neighbour], *kinds: str) -> list[str]:
    return [item.text for item in found if item.kind in kinds]


def test_they_are_ranked_and_of_all_distances_and_kinds() -> None:
    found = neighbours("hey nano")
    assert [item.distance for item in found] == sorted(item.distance for item in found)
    assert len({item.text for item in found}) == len(found)
    tenths = Counter(int(10 * item.distance) for item in found)
    assert set(tenths) == set(range(8))
    assert min(tenths.values()) > 10
    assert {item.kind for item in found} == {"word", "inside", "edit", "swap", "repeat"}
    assert 150 < len(found) <= 260


@pytest.mark.parametrize("phrase", ["computer", "hey nano"])
def test_the_distances_are_those_of_what_is_said(phrase: str) -> None:
    said = {item.text: item.distance for item in neighbours(phrase) if of_text(item.text) is None}
    whole = [phoneme for word in pronounce(phrase, language="en-us") for phoneme in word]
    spoken = Pronunciations(pronounce_each(list(said), language="en-us"))
    assert phrase_distances(whole, spoken).tolist() == pytest.approx(list(said.values()), abs=6e-4)


def test_neither_the_phrase_nor_a_homophone_is_among_them() -> None:
    found = neighbours("knight rider")
    own = split_sounds(phoneme for word in pronounce("night rider", language="en-us") for phoneme in word)
    for text in texts(found, "word", "inside", "repeat", "swap"):
        if of_text(text) is None:
            assert split_sounds(p for word in phonemes(text, language="en-us") for p in word) != own
            assert "knight rider" not in text


def test_every_word_of_a_phrase_has_neighbours_alone_and_together() -> None:
    words = texts(neighbours("hey nano"), "word", "inside")
    first = [text for text in words if text.endswith(" nano")]
    last = [text for text in words if text.startswith("hey ")]
    neither = [text for text in words if "hey" not in text.split() and "nano" not in text.split()]
    assert min(len(first), len(last), len(neither)) > 20
    assert {len(text.split()) for text in neither} >= {1, 2}


def test_a_longer_phrase_has_one_and_two_of_its_words_replaced() -> None:
    words = texts(neighbours("ok my house"), "word")
    kept = {tuple(word for word in ("ok", "my", "house") if word in text.split()) for text in words}
    assert {("my", "house"), ("ok", "house"), ("ok", "my"), ("house",), ("ok",), ()} <= kept


def test_near_words_are_what_people_would_name() -> None:
    found = {item.text: item.distance for item in neighbours("computer")}
    assert found["commuter"] < found["composer"] < 0.4
    assert texts(neighbours("computer"), "inside")[0].startswith("computer")
    assert {"election", "alexis"} <= set(texts(neighbours("alexa"), "word"))


def test_the_seed_decides_and_nothing_else() -> None:
    again = find_neighbours("hey nano", pronounce("hey nano", language="en-us"), language="en-us", n=240, seed=7)
    assert again == neighbours("hey nano")
    assert neighbours("hey nano", seed=8) != again


def test_edits_can_be_said_and_are_no_stranger_than_the_language() -> None:
    spoken = pronounce("computer", language="en-us")
    lexicon = read_lexicon("en-us", n=4_000).phonemes
    variants = edit_phonemes(spoken, lexicon=lexicon, sayable=lambda sound: sound != "ʊ", n=1_500, seed=3)
    assert len(variants) > 300
    allowed = {pair for word in [*lexicon, *spoken] for pair in pairwise(["", *(p.lstrip("ˈˌ") for p in word), ""])}
    for (word,) in variants:
        plain = [phoneme.lstrip("ˈˌ") for phoneme in word]
        assert "ʊ" not in plain
        assert allowed.issuperset(pairwise(["", *plain, ""]))
        runs = [len(list(run)) for vowel, run in groupby(split_sounds(word), key=is_vowel) if not vowel]
        assert max(runs, default=0) <= 3
        assert any(map(is_vowel, split_sounds(word)))
        assert word != spoken[0]
    assert len({"".join(word) for (word,) in variants}) == len(variants)
    assert Counter("ˈuː" in word for (word,) in variants)[True] > 50  # stress stays where it was


def test_parts_are_swapped_and_repeated() -> None:
    (word,) = pronounce("alexa", language="en-us")
    found = [(kind, ["".join(part) for part in parts]) for kind, parts in rearrange_phonemes([word])]
    assert ("swap", ["ˈɛksə", "ɐl"]) in found
    assert ("repeat", ["sə", "sə"]) in found
    assert ("repeat", ["ɐlˈɛ", "ɐlˈɛ"]) in found
    (word,) = pronounce("strength", language="en-us")
    kinds = Counter(kind for kind, _ in rearrange_phonemes([word]))
    assert kinds == {"repeat": 1}  # what has no vowel is not said


def test_other_languages_have_words_and_phonemes() -> None:
    german = neighbours("hallo küche", "de")
    assert "hallo kirche" in texts(german, "word")
    assert "küche hallo" in texts(german, "swap")
    edits = [text for text in texts(german, "edit") if of_text(text)]
    assert len(edits) > 50
    assert all(can_be_said(split_ipa(text[1:-1], language="de"), language="de") for text in edits)


def test_what_engines_cannot_say_as_phonemes_has_words_only() -> None:
    chinese = neighbours("你好", "cmn")
    assert not can_be_said(["ɑu2"], language="cmn")
    assert not [text for text in texts(chinese, "word", "edit", "swap", "repeat", "inside") if of_text(text)]
    assert len(texts(chinese, "word")) > 100


def test_a_language_without_a_list_of_words_has_what_can_be_made_of_the_phrase() -> None:
    assert read_lexicon("cy", n=100).words == []
    assert {item.kind for item in neighbours("helo ty", "cy")} <= {"swap", "repeat"}
    assert list(similar_words(["helo"], [["h", "ɛ"]], lexicon=read_lexicon("cy", n=100), seed=1)) == []


def test_what_is_spelled_or_no_word_is_not_in_the_lexicon() -> None:
    words = set(read_lexicon("en-us", n=20_000).words)
    assert {"computer", "don't", "my"} <= words
    assert not {"tv", "bbc", "1", "2nd", "b"} & words
    assert {"où", "être"} <= set(read_lexicon("fr", n=2_000).words)


def test_none_are_sought_where_none_are_wanted() -> None:
    spoken = pronounce("alexa", language="en-us")
    assert find_neighbours("alexa", spoken, language="en-us", n=0, seed=1) == []
