"""Streams through a real server hear what the local runtime hears, at the same times."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.graph import Graph
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from nanowakeword.v1 import wakeword_pb2 as pb
from tests.serving.running import RunningServer, audio, config, pieces


def local(graph: Graph, recording: Samples, *, threshold: float | None = None) -> list[Detection]:
    stream = DetectionStream(graph, threshold=threshold)
    return stream.feed(recording) + stream.flush()


def detections(responses: list[pb.DetectResponse]) -> list[Detection]:
    return [
        Detection(phrase=one.phrase, score=one.score, start_s=one.start_s, end_s=one.end_s, model=one.model)
        for response in responses
        for one in response.detections
    ]


def assert_same(heard: list[Detection], expected: list[Detection]) -> None:
    """Equal in everything; scores to the tolerance that the graph promises between two ways of cutting."""
    assert [replace(one, score=0.0) for one in heard] == [replace(one, score=0.0) for one in expected]
    assert [one.score for one in heard] == pytest.approx([one.score for one in expected], abs=1e-4)


@pytest.mark.parametrize("size", [7, 160, 1_280, 1_281, 9_999, 32_768])
def test_any_chunking_gives_the_local_detections(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples, size: int
) -> None:
    heard = recording if size > 100 else recording[20_000:40_000]  # as many messages as are quick to send
    expected = local(graphs["beep"], heard, threshold=0.3)
    assert expected
    responses = server.talk([config(pb.ModelSelection(threshold=0.3)), *map(audio, pieces(heard, size))])
    assert_same(detections(responses), expected)


def test_without_selection_the_default_model_listens(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples
) -> None:
    responses = server.talk([config(), *map(audio, pieces(recording, 1_280))])
    assert [(model.name, model.threshold) for model in responses[0].opened.models] == [("beep", 0.75)]
    assert_same(detections(responses), local(graphs["beep"], recording))
    assert len(detections(responses)) == 3


def test_silence_costs_no_answer(server: RunningServer) -> None:
    responses = server.talk([config(), *map(audio, pieces(np.zeros(64_000, np.int16), 1_280))])
    assert len(responses) == 1
    assert responses[0].HasField("opened")


def test_a_budget_takes_the_threshold_of_the_card(server: RunningServer, recording: Samples) -> None:
    responses = server.talk([config(pb.ModelSelection(budget_fa_per_hour=3.0))])
    assert responses[0].opened.models[0].threshold == 0.5


def test_two_models_on_one_stream(server: RunningServer, graphs: dict[str, Graph], recording: Samples) -> None:
    both = [pb.ModelSelection(name="boop"), pb.ModelSelection(name="beep", threshold=0.9)]
    responses = server.talk([config(*both), *map(audio, pieces(recording, 1_000))])
    assert [(model.name, model.threshold) for model in responses[0].opened.models] == [("boop", 0.4), ("beep", 0.9)]
    for name, threshold in (("boop", 0.4), ("beep", 0.9)):
        heard = [one for one in detections(responses) if one.model == name]
        assert_same(heard, local(graphs[name], recording, threshold=threshold))


def test_the_servers_threshold_is_the_default_one(start: Callable[..., RunningServer], recording: Samples) -> None:
    responses = start(threshold=0.999).talk([config(), audio(recording[:32_000])])
    assert responses[0].opened.models[0].threshold == 0.999


@pytest.mark.parametrize("output", [pb.DETECT_OUTPUT_SCORES, pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES])
def test_scores_are_those_of_the_local_runtime(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples, output: pb.DetectOutput
) -> None:
    responses = server.talk([config(output=output), *map(audio, pieces(recording, 3_000))])
    stream = DetectionStream(graphs["beep"])
    stream.feed(recording)
    expected = list(stream.scores)
    stream.flush()
    expected += list(stream.scores)
    tracks = [track for response in responses for track in response.scores]
    np.testing.assert_allclose([value for track in tracks for value in track.values], expected, atol=1e-6)
    hops = np.cumsum([0, *(len(track.values) for track in tracks)])
    assert [track.start_s for track in tracks] == [hop * HOP_S for hop in hops[:-1]]
    assert bool(detections(responses)) is (output == pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES)
    assert responses[-1].processed_samples == -(-len(recording) // HOP_SAMPLES) * HOP_SAMPLES


def test_streams_at_one_time_keep_separate_states(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples
) -> None:
    """Two microphones, on one connection, at one time; the second one hears everything reversed."""
    recordings = [recording, recording[::-1].copy()]
    with server.stub() as stub:
        calls = [stub.Detect(iter([config(), *map(audio, pieces(heard, 1_280))]), timeout=10.0) for heard in recordings]
        responses: list[list[pb.DetectResponse]] = [[], []]
        open_calls = [0, 1]
        while open_calls:
            for index in list(open_calls):
                response = next(calls[index], None)
                if response is None:
                    open_calls.remove(index)
                else:
                    responses[index].append(response)
    for heard, answers in zip(recordings, responses, strict=True):
        assert_same(detections(answers), local(graphs["beep"], heard))


def test_a_gap_is_seen_and_the_stream_goes_on(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples
) -> None:
    cut = list(pieces(recording, 8_000))
    sent = [(number, piece) for number, piece in enumerate(cut) if number not in (5, 6)]
    responses = server.talk([config(), *(audio(piece, sequence=number) for number, piece in sent)])
    (warning,) = [warning for response in responses for warning in response.warnings]
    assert warning.kind == pb.WARNING_KIND_GAP
    assert warning.missing_messages == 2
    assert warning.at_s == 2.5
    assert_same(detections(responses), local(graphs["beep"], np.concatenate([piece for _, piece in sent])))


@pytest.mark.parametrize("size", [1_280, 1_111])
def test_real_speech_streamed_is_real_speech_fed(
    server: RunningServer, real_data: Path, graphs: dict[str, Graph], size: int
) -> None:
    with (real_data / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        paths = [real_data / row["path"] for row in itertools.islice(csv.DictReader(manifest), 10)]
    heard = np.concatenate([read_audio(path) for path in paths])
    stream = DetectionStream(graphs["beep"])
    stream.feed(heard)
    # Speech holds little of the tone that the model hears; this low it fires a few times.
    threshold = float(np.quantile(stream.scores, 0.95))
    expected = local(graphs["beep"], heard, threshold=threshold)
    assert expected
    responses = server.talk([config(pb.ModelSelection(threshold=threshold)), *map(audio, pieces(heard, size))])
    assert_same(detections(responses), expected)
