from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.graph import Graph
from nanowakeword.interpreter import NanoInterpreter
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream, HopBuffer, ScoreStream
from nanowakeword.timing import HOP_SAMPLES
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

parts = st.lists(st.tuples(st.booleans(), st.floats(0.02, 0.9)), max_size=8)


def render(pattern: list[tuple[bool, float]]) -> Samples:
    """Tones and silences in turn."""
    return np.concatenate([silence(0), *(tone(s) if loud else silence(s) for loud, s in pattern)])


def listen(graph: Graph, pieces: list[Samples]) -> tuple[list[Detection], list[float]]:
    stream = DetectionStream(graph, threshold=0.5, refractory_s=0.4, patience=2)
    detections, scores = [], []
    for piece in pieces:
        detections += stream.feed(piece)
        scores += stream.scores.tolist()
    detections += stream.flush()
    return detections, scores + stream.scores.tolist()


@settings(max_examples=60, deadline=None)
@given(pattern=parts, cuts=st.lists(st.integers(0, 90_000), max_size=12))
def test_how_a_recording_is_cut_changes_nothing(
    tiny: Graph, pattern: list[tuple[bool, float]], cuts: list[int]
) -> None:
    audio = render(pattern)
    (pieces, piece_scores), (whole, scores) = listen(tiny, np.split(audio, sorted(cuts))), listen(tiny, [audio])
    # Sums over other numbers of hops may differ in the last bit.
    assert piece_scores == pytest.approx(scores, abs=1e-6)
    assert [(event.start_s, event.end_s) for event in pieces] == [(event.start_s, event.end_s) for event in whole]


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 4_000), max_size=12))
def test_the_buffer_loses_and_adds_nothing(lengths: list[int]) -> None:
    audio = np.arange(sum(lengths)).astype(np.int16)
    buffer = HopBuffer()
    taken = [buffer.take(piece.copy()) for piece in np.split(audio, np.cumsum(lengths)[:-1])]
    assert all(len(piece) % HOP_SAMPLES == 0 for piece in taken)
    whole = len(audio) - len(audio) % HOP_SAMPLES
    np.testing.assert_array_equal(np.concatenate([audio[:0], *taken]), audio[:whole])
    assert buffer.waiting_samples == len(audio) - whole


def test_times_are_those_of_the_stream(tiny: Graph) -> None:
    stream = DetectionStream(tiny)
    # The threshold of 0.75 is reached as the third hop of the tone ends, at 1.28 + 0.24 s, short of a rounding error;
    # so the fourth fires.
    detections = stream.feed(np.concatenate([silence(1.28), tone(0.48), silence(1.0)]))
    (detection,) = detections
    assert detection.phrase == detection.model == "beep"
    assert detection.score == pytest.approx(1.0, abs=1e-4)
    assert (detection.start_s, detection.end_s) == pytest.approx((1.52, 1.60))


def test_patience_widens_the_event_and_delays_it(tiny: Graph) -> None:
    stream = DetectionStream(tiny, threshold=0.4, patience=3)
    (detection,) = stream.feed(np.concatenate([silence(1.28), tone(0.48), silence(1.0)]))
    assert (detection.start_s, detection.end_s) == pytest.approx((1.36, 1.60))
    assert detection.score == pytest.approx(1.0, abs=1e-4)


def test_the_clock_of_scores(tiny: Graph) -> None:
    stream = DetectionStream(tiny)
    stream.feed(silence(0.1))
    assert (len(stream.scores), stream.first_hop, stream.processed_samples) == (1, 0, 1280)
    stream.feed(silence(0.02))
    assert (len(stream.scores), stream.first_hop, stream.processed_samples) == (0, 1, 1280)
    stream.feed(silence(0.2))
    assert (len(stream.scores), stream.first_hop, stream.processed_samples) == (3, 1, 4 * 1280)
    stream.flush()
    assert (len(stream.scores), stream.first_hop, stream.processed_samples) == (0, 4, 4 * 1280)
    stream.feed(silence(0.01))
    stream.flush()
    assert (len(stream.scores), stream.first_hop, stream.processed_samples) == (1, 4, 5 * 1280)


def test_reset_begins_a_new_stream(tiny: Graph) -> None:
    audio = np.concatenate([silence(0.5), tone(0.7)])
    stream = DetectionStream(tiny)
    first = stream.feed(audio)
    assert len(first) == 1
    assert stream.feed(audio[:5]) == []
    stream.reset()
    assert stream.feed(audio) == first


def test_a_long_recording_is_run_in_parts(tiny: Graph) -> None:
    rng = np.random.default_rng(2)
    audio = rng.integers(-9_000, 9_000, 200 * HOP_SAMPLES).astype(np.int16)
    whole, _, _ = tiny.run(audio[None], tiny.zero_state())
    np.testing.assert_array_equal(ScoreStream(tiny).feed(audio), whole[0])


def test_the_callers_array_may_be_filled_again(tiny: Graph) -> None:
    audio = tone(0.4)
    expected = ScoreStream(tiny).feed(audio)
    stream, block, scores = ScoreStream(tiny), np.zeros(900, np.int16), []
    for start in range(0, len(audio) - 900, 900):
        block[:] = audio[start : start + 900]
        scores += stream.feed(block).tolist()
        block[:] = 7
    assert scores == expected[: len(scores)].tolist()
    assert len(scores) >= 3


def test_wrong_arguments_and_audio(tiny: Graph) -> None:
    wrong: list[dict[str, Any]] = [{"threshold": 0.0}, {"patience": 0}, {"refractory_s": -1.0}]
    for options in wrong:
        with pytest.raises(ConfigError):
            DetectionStream(tiny, **options)
    stream = DetectionStream(tiny)
    with pytest.raises(AudioError):
        stream.feed(np.zeros(1280))  # type: ignore[arg-type]
    assert stream.feed(np.zeros(0, np.int16)) == []


def test_the_model_says_how_long_one_utterance_keeps_its_score_up(tmp_path: Path) -> None:
    """A tone of 1.5 s is heard twice with a second of pause, and once with what the card asks for."""
    audio = np.concatenate([tone(1.5), silence(1.0)])
    heard = {}
    for seconds in (None, 1.0, 2.0):
        path = write_tiny_model(tmp_path / f"{seconds}.onnx", card=tiny_card(refractory_s=seconds))
        graph = Graph.load(path)
        interpreter = NanoInterpreter.load_model(str(path))
        detected = [interpreter.predict(hop).detected for hop in np.split(audio, range(1280, len(audio), 1280))]
        heard[seconds] = (len(DetectionStream(graph).feed(audio)), sum(detected))
    assert heard == {None: (2, 2), 1.0: (2, 2), 2.0: (1, 1)}
