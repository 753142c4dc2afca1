from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.graph import Graph
from nanowakeword.stream import ScoreStream
from nanowakeword.timing import HOP_SAMPLES
from nanowakeword.voiceprint import WINDOW_SAMPLES, find_phrase, hop_scores, likely_hops, utterance, voiceprints
from tests.tiny_model import silence, tone

CLIP: Samples = np.concatenate([silence(1.2), tone(0.64, amplitude=6_000), silence(0.4)])


def test_scores_are_those_of_a_stream_and_of_half_a_second_more(tiny: Graph) -> None:
    clip = CLIP[: -HOP_SAMPLES // 2]
    scores = hop_scores(tiny, clip)
    stream = ScoreStream(tiny)
    np.testing.assert_array_equal(scores[: len(clip) // HOP_SAMPLES], stream.feed(clip))
    assert len(scores) == 28 + 8


def test_a_phrase_is_where_the_model_fires_first(tiny: Graph) -> None:
    scores = hop_scores(tiny, CLIP)
    assert scores[15:20] == pytest.approx(6_000 / 8_192 * np.array([0.25, 0.5, 0.75, 1.0, 1.0]), abs=1e-3)
    assert find_phrase(scores, threshold=0.7) == 18
    assert find_phrase(scores, threshold=0.75) is None


@settings(max_examples=25, deadline=None)
@given(hop=st.integers(0, 40))
def test_a_voiceprint_is_of_the_audio_up_to_its_hop(tiny: Graph, hop: int) -> None:
    random = np.random.default_rng(hop)
    clip = np.concatenate([CLIP, random.integers(-3_000, 3_000, 20_000).astype(np.int16)])
    end = (hop + 1) * HOP_SAMPLES
    heard = np.pad(clip, (WINDOW_SAMPLES, WINDOW_SAMPLES))[end : end + WINDOW_SAMPLES]
    (print_,) = voiceprints(tiny, clip, [hop])
    np.testing.assert_array_equal(print_, voiceprints(tiny, heard, [24])[0])
    _, _, features = tiny.run(heard[None], tiny.zero_state())
    pooled = features[0, -8:].astype(np.float64)
    np.testing.assert_allclose(print_, np.concatenate([pooled.mean(0), pooled.std(0)]))


def test_an_utterance_is_the_hop_that_fired_and_its_neighbours(tiny: Graph) -> None:
    np.testing.assert_array_equal(utterance(tiny, CLIP, 18), voiceprints(tiny, CLIP, [18, 17, 19]))


def test_many_windows_are_those_of_one_at_a_time(tiny: Graph) -> None:
    many = voiceprints(tiny, CLIP, list(range(26)))
    np.testing.assert_allclose(many, np.concatenate([voiceprints(tiny, CLIP, [hop]) for hop in range(26)]), rtol=1e-6)


def test_likely_hops_are_the_peaks_of_pieces_spread_evenly() -> None:
    scores = np.zeros(100, np.float32)
    scores[[3, 17, 29, 55, 99]] = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert likely_hops(scores, spacing_hops=20, most=9) == [17, 29, 55, 60, 99]
    assert likely_hops(scores, spacing_hops=20, most=2) == [17, 99]
    assert likely_hops(scores, spacing_hops=20, most=1) == [17]
    assert likely_hops(scores[:5], spacing_hops=20, most=9) == [3]
