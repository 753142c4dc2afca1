"""The distance between pronunciations: what a metric must be, and that the fast way gives what the definition says."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.articulation import split_sounds, unlikeness
from steps.espeak_ng import phonemes
from steps.phonetic_distance import Pronunciations, phrase_distances, prefix_costs, stretch_costs
from steps.settings import Wakeword
from steps.spoken_texts import distances_from

SOUNDS = ["p", "b", "t", "k", "s", "ʃ", "tʃ", "m", "n", "l", "ɹ", "j", "i", "ɛ", "æ", "ə", "uː", "aɪ", "eɪ"]
pronunciations = st.lists(st.sampled_from(SOUNDS), min_size=1, max_size=7)


def cost(one: list[str], other: list[str]) -> float:
    return float(prefix_costs(one, Pronunciations([other]))[-1, 0])


def stretch(one: list[str], other: list[str]) -> float:
    return float(stretch_costs(one, Pronunciations([other]))[0])


def by_definition(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    @functools.cache
    def of(i: int, j: int) -> float:
        if i == 0 or j == 0:
            return float(i + j)
        substitution = float(unlikeness([one[i - 1]], [other[j - 1]])[0, 0])
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + substitution)

    return of(len(one), len(other))


def ipa(text: str) -> list[str]:
    return [phoneme for word in phonemes(text, language="en-us") for phoneme in word]


def distance(text: str, phrase: str) -> float:
    return float(phrase_distances(ipa(phrase), Pronunciations([ipa(text)]))[0])


@settings(max_examples=150, deadline=None)
@given(pronunciations, pronunciations, pronunciations)
def test_the_edit_distance_is_a_metric(one: list[str], other: list[str], third: list[str]) -> None:
    assert cost(one, one) == 0.0
    assert cost(one, other) == pytest.approx(cost(other, one))
    assert (cost(one, other) == 0.0) == (one == other)
    assert cost(one, third) <= cost(one, other) + cost(other, third) + 1e-5


@settings(max_examples=100, deadline=None)
@given(pronunciations, st.lists(pronunciations, min_size=1, max_size=4))
def test_many_at_once_are_as_defined(one: list[str], others: list[list[str]]) -> None:
    found = prefix_costs(one, Pronunciations(others))
    assert found.shape == (len(one) + 1, len(others))
    for i in range(len(one) + 1):
        expected = [by_definition(tuple(one[:i]), tuple(other)) for other in others]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(pronunciations, pronunciations)
def test_the_nearest_stretch_is_the_nearest_of_all(one: list[str], other: list[str]) -> None:
    stretches = [tuple(other[i:j]) for i in range(len(other)) for j in range(i, len(other) + 1)]
    assert stretch(one, other) == pytest.approx(min(by_definition(tuple(one), part) for part in stretches), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(pronunciations, pronunciations, pronunciations, pronunciations)
def test_what_is_said_before_and_after_never_makes_it_farther(
    phrase: list[str], before: list[str], other: list[str], after: list[str]
) -> None:
    assert stretch(phrase, [*before, *phrase, *after]) == 0.0
    assert stretch(phrase, [*before, *other, *after]) <= stretch(phrase, other) <= cost(phrase, other)
    assert phrase_distances(phrase, Pronunciations([other]))[0] <= 1.0


@settings(max_examples=40, deadline=None)
@given(pronunciations, st.lists(st.sampled_from("ˈˌ"), min_size=7, max_size=7))
def test_stress_changes_nothing(one: list[str], marks: list[str]) -> None:
    stressed = [mark + sound for mark, sound in zip(marks, one, strict=False)]
    assert cost(one, stressed) == 0.0


def test_read_backwards_it_is_as_far() -> None:
    words = Pronunciations(map(ipa, ["computer", "commuter", "lexicon", "a"]))
    sounds = split_sounds(ipa("compute her"))
    forward, backward = prefix_costs(sounds, words)[-1], prefix_costs(sounds[::-1], words.reverse())[-1]
    np.testing.assert_allclose(forward, backward, atol=1e-5)


def test_nothing_to_compare_with_is_no_error() -> None:
    assert phrase_distances(["a"], Pronunciations([])).shape == (0,)
    assert phrase_distances(["a"], Pronunciations([[]])).tolist() == [1.0]


@pytest.mark.parametrize(
    ("phrase", "near_to_far"),
    [
        ("computer", ["computers", "commuter", "composer", "competitor", "committee", "banana"]),
        ("alexa", ["alexa please", "election", "elixir", "relationship", "against", "potato"]),
        ("hey nano", ["high nano", "honey no", "banana", "hey there", "turn off the lights"]),
    ],
)
def test_distances_are_in_the_order_that_people_would_say(phrase: str, near_to_far: list[str]) -> None:
    distances = [distance(text, phrase) for text in near_to_far]
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)
    assert distances[1] < 0.4 < distances[-1]


def test_phonemes_between_slashes_are_as_far_as_the_words_they_spell() -> None:
    texts = ["fire truck", "chart", "a lemon", "button", "orange judge"]
    spelled = ["/" + " ".join("".join(word) for word in phonemes(text, language="en-us")) + "/" for text in texts]
    alexa = Wakeword(phrase="alexa", name=None, language="en-us", pronunciation=None)
    assert distances_from(alexa, spelled) == distances_from(alexa, texts)
    assert distances_from(alexa, ["/ɐlˈɛksə/", "alexa please", "/sə/"]) == [0.0, 0.0, 0.667]


def test_a_pronunciation_that_is_given_is_what_counts() -> None:
    alexa = Wakeword(phrase="alexa", name=None, language="en-us", pronunciation="bɐnˈænə")
    assert distances_from(alexa, ["alexa", "banana"])[1] == 0.0 < distances_from(alexa, ["alexa"])[0]
