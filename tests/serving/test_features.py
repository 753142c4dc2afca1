"""Streams of features: heads alone on the server hear what the whole model hears."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.graph import Graph
from nanowakeword.stream import DetectionStream
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_FEATURES_BYTES
from serving.errors import ProtocolError
from serving.lane import Lane
from serving.models import load_model
from serving.readers import FeatureReader
from tests.serving.running import RunningServer, audio, pieces, wait_for
from tests.tiny_model import tiny_card, tiny_head_proto, write_tiny_head, write_tiny_model

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ONE_HOP: Floats = np.zeros((1, 2), np.float32)


@pytest.fixture
def pair(models: list[Path]) -> Path:
    """A model with its head file beside it; ``boop``, on the same server, has none."""
    return models[0]


def config(
    *names: str,
    front_ends: tuple[str, ...] = (),
    output: pb.DetectOutput = pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES,
    pipeline: pb.Pipeline = pb.PIPELINE_VERIFIER_ONLY,
) -> pb.DetectRequest:
    selections = [pb.ModelSelection(name=name) for name in names]
    return pb.DetectRequest(
        config=pb.DetectConfig(models=selections, output=output, pipeline=pipeline, front_ends=front_ends)
    )


def features(values: Floats, *, rows: int | None = None, sequence: int | None = None) -> pb.DetectRequest:
    data = values.astype("<f4").tobytes()
    return pb.DetectRequest(
        features=pb.FeatureChunk(sequence=sequence, rows=len(values) if rows is None else rows, f32le=data)
    )


def features_of(path: Path, recording: Samples) -> Floats:
    graph = Graph.load(path)
    whole = np.pad(recording, (0, -len(recording) % 1_280))
    found: Floats = graph.run(whole[None], graph.zero_state())[2][0]
    return found


@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_the_heads_hear_what_the_model_hears(server: RunningServer, pair: Path, recording: Samples, step: int) -> None:
    values = features_of(pair, recording)
    answers = server.talk([config(), *(features(values[at : at + step]) for at in range(0, len(values), step))])
    expected = server.talk([config(pipeline=pb.PIPELINE_FULL), *map(audio, pieces(recording, 8_000))])
    heard, wanted = ([one for answer in some for one in answer.detections] for some in (answers, expected))
    assert len(heard) == 3
    assert [(one.model, one.phrase, one.start_s, one.end_s) for one in heard] == [
        (one.model, one.phrase, one.start_s, one.end_s) for one in wanted
    ]
    scores, others = ([v for answer in some for t in answer.scores for v in t.values] for some in (answers, expected))
    np.testing.assert_allclose(scores, others, atol=1e-6)
    assert answers[-1].processed_samples == expected[-1].processed_samples == 1_280 * len(values)
    assert answers[0].opened.max_features_bytes == MAX_FEATURES_BYTES


def test_streams_of_features_share_nothing(server: RunningServer, pair: Path, recording: Samples) -> None:
    values = features_of(pair, recording)
    alone = server.talk([config(), *map(features, np.split(values, range(1, len(values))))])
    with server.stub() as stub:
        calls = [
            stub.Detect(iter([config(), *map(features, np.split(some, range(1, len(some))))]), timeout=10.0)
            for some in (values, values[::-1].copy())
        ]
        together = [list(call) for call in calls]
    assert [answer.scores for answer in together[0]] == [answer.scores for answer in alone]
    assert [answer.scores for answer in together[1]] != [answer.scores for answer in alone]


def test_models_tell_what_they_take(server: RunningServer) -> None:
    with server.stub() as stub:
        beep, boop = stub.ListModels(pb.ListModelsRequest(), timeout=5.0).models
    assert list(beep.pipelines) == [pb.PIPELINE_FULL, pb.PIPELINE_VERIFIER_ONLY]
    assert (list(beep.features.front_ends), beep.features.rows_per_hop, beep.features.width) == (["tone:f00d"], 1, 2)
    assert list(boop.pipelines) == [pb.PIPELINE_FULL]
    assert not boop.HasField("features")


BAD = {
    "audio": (
        [config(), audio(np.zeros(1_280, np.int16))],
        "this stream carries features; got audio; expected features",
    ),
    "features of audio": (
        [config(pipeline=pb.PIPELINE_FULL), features(ONE_HOP)],
        "carries audio; got features; expected audio",
    ),
    "features first": ([features(ONE_HOP)], "got features; expected config"),
    "width": (
        [config(), features(np.zeros((1, 3), np.float32))],
        "got 12 bytes for 1 rows; expected 8 bytes (2 values",
    ),
    "rows": ([config(), features(ONE_HOP, rows=2)], "got 8 bytes for 2 rows; expected 16 bytes"),
    "many rows": ([config(), features(ONE_HOP, rows=2**32 - 1)], "expected 34359738360 bytes"),
    "unset": ([config(), pb.DetectRequest(features=pb.FeatureChunk(rows=1))], "expected f32le to be set"),
    "too large": ([config(), features(np.zeros((8_193, 2), np.float32))], "got 65544 bytes; expected at most 65536"),
    "nan": ([config(), features(np.array([[0, np.nan]], np.float32))], "got nan or infinity"),
    "infinity": ([config(), features(np.array([[0, -np.inf]], np.float32))], "got nan or infinity"),
    "order": ([config(), features(ONE_HOP, sequence=3), features(ONE_HOP, sequence=3)], "got sequence 3; expected 4"),
    "no heads": (
        [config("boop")],
        "takes no features for model 'boop'; got PIPELINE_VERIFIER_ONLY; expected PIPELINE_FULL",
    ),
    "one without": ([config("beep", "boop")], "takes no features for model 'boop'"),
    "front ends": ([config(front_ends=("tone:beef",))], "other front ends; got tone:beef; expected tone:f00d"),
    "more front ends": ([config(front_ends=("tone:f00d", "x" * 999))], "got tone:f00d + xxx"),
    "pipeline": ([config(pipeline=77)], "unknown pipeline; got 77; expected PIPELINE_UNSPECIFIED, PIPELINE_FULL"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
def test_a_clear_status(server: RunningServer, name: str) -> None:
    requests, text = BAD[name]
    with pytest.raises(grpc.RpcError) as caught:
        server.talk(requests)
    assert (caught.value.code(), text in caught.value.details()) == (INVALID, True), caught.value.details()
    assert "\n" not in caught.value.details()
    wait_for(lambda: server.open_streams == 0)
    assert len(server.talk([config(front_ends=("tone:f00d",)), features(ONE_HOP)])) == 2


def test_values_that_overflow_the_heads_are_refused(tmp_path: Path) -> None:
    """Finite values that no audio gives, and whose sums are no numbers: the client's fault, and told as such."""
    proto = tiny_head_proto()
    window = next(item for item in proto.graph.initializer if item.name == "window")
    window.CopyFrom(numpy_helper.from_array(np.full((1, 1, 4), 1e30, np.float32), "window"))
    path = tmp_path / "beep_head.onnx"
    path.write_bytes(proto.SerializeToString())
    lane = Lane([load_model(path, threshold=None, pipeline=None)], takes_features=True)
    slot = lane.slots.take()
    with pytest.raises(ProtocolError, match=re.escape("features that no audio gives; got values of up to 3e+38")):
        lane.run([np.array([[3e38, 0.0], [-3e38, 0.0]], np.float32)], [slot])
    assert not lane.slots.gather([slot])[0].any(), "the stream has not changed"


def test_a_gap_is_seen(server: RunningServer) -> None:
    answers = server.talk([config(), features(ONE_HOP, sequence=0), features(ONE_HOP, sequence=2)])
    (warning,) = [warning for answer in answers for warning in answer.warnings]
    assert (warning.kind, warning.missing_messages, warning.at_s) == (pb.WARNING_KIND_GAP, 1, 0.08)


@pytest.mark.parametrize("of", ["beep.onnx", "beep_head.onnx"])
def test_only_heads_are_served(start: Callable[..., RunningServer], pair: Path, of: str) -> None:
    server = start(models=(pair.with_name(of),), pipeline="verifier_only")
    assert len(server.talk([config("beep"), features(ONE_HOP)])) == 2
    with pytest.raises(grpc.RpcError) as caught:
        server.talk([config(pipeline=pb.PIPELINE_FULL)])
    assert caught.value.details() == (
        "this server runs only the heads of model 'beep'; got PIPELINE_FULL; expected PIPELINE_VERIFIER_ONLY"
    )
    with server.stub() as stub:
        (beep,) = stub.ListModels(pb.ListModelsRequest(), timeout=5.0).models
    assert list(beep.pipelines) == [pb.PIPELINE_VERIFIER_ONLY]


def test_only_audio_is_served(start: Callable[..., RunningServer], pair: Path) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        start(models=(pair,), pipeline="full").talk([config()])
    assert "takes no features for model 'beep'" in caught.value.details()


def test_files_that_do_not_fit_the_pipeline(pair: Path, tmp_path: Path) -> None:
    alone = write_tiny_model(tmp_path / "beep.onnx")
    with pytest.raises(
        ConfigError, match=re.escape(f"no head file for {alone}; expected {tmp_path / 'beep_head.onnx'}")
    ):
        load_model(alone, threshold=None, pipeline="verifier_only")
    with pytest.raises(ConfigError, match="is only the heads of a detector"):
        load_model(pair.with_name("beep_head.onnx"), threshold=None, pipeline="full")
    with pytest.raises(ModelError, match="no model at"):
        load_model(tmp_path / "missing.onnx", threshold=None, pipeline="verifier_only")
    write_tiny_head(alone, tiny_card(phrase="boop"))
    for pipeline in (None, "verifier_only"):
        with pytest.raises(ModelError, match="does not belong to model 'beep': its card says another phrase"):
            load_model(alone, threshold=None, pipeline=pipeline)
    assert load_model(alone, threshold=0.6, pipeline="full").threshold == 0.6


def test_a_model_sent_whole_is_the_model_sent_in_pieces(pair: Path, recording: Samples) -> None:
    stream = DetectionStream(Graph.load(pair))
    served = load_model(pair, threshold=None, pipeline=None)
    assert served.heads is not None
    assert stream.feed(recording[: len(recording) // 1_280 * 1_280])
    values = features_of(pair, recording)[: len(recording) // 1_280]
    score, _ = served.heads.run(values[None], served.heads.zero_state())
    np.testing.assert_allclose(score[0], stream.scores, atol=1e-6)


def test_a_part_of_a_hop_is_refused() -> None:
    reader = FeatureReader(rows_per_hop=8, width=40)
    values, _ = asyncio.run(reader.read(features(np.zeros((16, 40), np.float32))))
    assert values.shape == (16, 40)
    with pytest.raises(ProtocolError, match="features of a part of a hop; got 12 rows; expected a multiple of 8 rows"):
        asyncio.run(reader.read(features(np.zeros((12, 40), np.float32))))


@given(
    rows=st.integers(0, 40) | st.integers(0, 2**32 - 1),
    rows_per_hop=st.integers(1, 8),
    width=st.integers(1, 5),
    data=st.binary(max_size=400),
)
def test_any_bytes_are_whole_hops_or_refused(rows: int, rows_per_hop: int, width: int, data: bytes) -> None:
    reader = FeatureReader(rows_per_hop=rows_per_hop, width=width)
    try:
        values, missing = asyncio.run(reader.read(pb.DetectRequest(features=pb.FeatureChunk(rows=rows, f32le=data))))
    except ProtocolError:
        return
    assert values.shape == (rows, width)
    assert rows % rows_per_hop == missing == 0
    assert np.isfinite(values).all()
    assert values.astype("<f4").tobytes() == data
