"""Clips of the phrase that are something else are found, and the others are let be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.package_cache import cache_folder
from steps.clip_check import SpokenClip, find_doubtful
from steps.clippack import Clip, Kind, Split
from steps.trim import finish_clip
from steps.tts.engine import Request
from steps.tts.table import ENGINES

PHONEMES = "ɐlˈɛksə"  # noqa: RUF001 -- letters of IPA


@pytest.fixture(scope="module", autouse=True)
def _front_end() -> None:
    if not (cache_folder() / "wakehubert").is_dir():
        pytest.skip("the front end wakehubert is not downloaded yet; python -m steps features does it")


def speak(engine: str, texts: Sequence[str], *, kind: Kind = "positive", split: Split = "train") -> list[SpokenClip]:
    row = ENGINES[engine]
    hint = row.missing()
    if hint is not None:
        pytest.skip(f"{engine}: {hint}")
    voices = row.voices("en-us")
    requests = [
        Request(
            kind=kind,
            text=text,
            language="en-us",
            engine=engine,
            voices=(voices[i % len(voices)].name,),
            split=split,
            speed=(0.6, 0.8, 1.0, 1.2)[i % 4],
            seed=i,
        )
        for i, text in enumerate(texts)
    ]
    spoken = []
    for request, samples in zip(requests, row.speak(requests, 1), strict=True):
        clip = finish_clip(samples, sample_rate_hz=row.sample_rate_hz, text=request.text, speed=request.speed)
        assert clip is not None
        facts = Clip(
            kind=kind,
            text=request.text,
            engine=engine,
            voice=request.voices[0],
            split=split,
            speed=request.speed,
            licence=row.licence,
            n_samples=len(clip),
        )
        spoken.append((facts, clip))
    return spoken


@pytest.fixture(scope="module")
def others() -> list[SpokenClip]:
    texts = ["hello", "window", "good morning", "tomorrow", "yes", "the kitchen", "banana", "open it"]
    return speak("hibari", texts, kind="negative") + speak("espeak", texts, kind="negative")


def test_wrong_words_are_found_and_right_ones_kept(others: list[SpokenClip]) -> None:
    right = speak("hibari", ["alexa"] * 20) + speak("espeak", ["alexa"] * 20)
    wrong = speak("hibari", ["computer", "supermarket"]) + speak("espeak", ["supermarket", "computer"])
    clips = [*right, *wrong, *others]
    found = find_doubtful(clips, phonemes=PHONEMES, share=6 / 44 + 1e-9, seed=1)
    assert len(found) == 6
    assert {40, 41, 42, 43} < set(found)
    assert found == find_doubtful(clips, phonemes=PHONEMES, share=6 / 44 + 1e-9, seed=1)


def test_an_engine_that_is_always_wrong_is_no_witness_for_itself(others: list[SpokenClip]) -> None:
    right = speak("espeak", ["alexa"] * 18) + speak("piper", ["alexa"] * 8)
    wrong = speak("hibari", ["computer"] * 8)
    found = find_doubtful([*right, *wrong, *others], phonemes=PHONEMES, share=10 / 34 + 1e-9, seed=1)
    assert len(found) == 10
    assert sum(place >= len(right) for place in found) >= 7


def test_voices_of_a_lone_engine_are_compared_with_each_other(others: list[SpokenClip]) -> None:
    clips = [*speak("espeak", ["alexa"] * 30), *speak("espeak", ["alexa"] * 5 + ["computer"])[5:]]
    found = find_doubtful([*clips, *others], phonemes=PHONEMES, share=2 / 31 + 1e-9, seed=1)
    assert 30 in found


def test_what_is_measured_on_is_not_touched_and_neither_are_other_kinds() -> None:
    clips = speak("espeak", ["alexa"] * 6, split="test") + speak("espeak", ["computer"] * 3, kind="neighbour")
    assert find_doubtful(clips, phonemes=PHONEMES, share=0.5, seed=1) == []


@pytest.mark.parametrize("seconds", [0.1, 4.0])
def test_an_impossible_length_is_doubtful_whatever_the_share(seconds: float) -> None:
    (facts, _), *_ = right = speak("espeak", ["alexa"] * 3)
    n = round(seconds * 16_000)
    odd = (replace(facts, n_samples=n, speed=1.0), np.zeros(n, np.int16))
    assert find_doubtful([*right, odd], phonemes=PHONEMES, share=0.0, seed=1) == [3]


def test_no_clips_no_doubts() -> None:
    assert find_doubtful([], phonemes=PHONEMES, share=0.5, seed=1) == []
