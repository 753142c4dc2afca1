"""What is written is what is read, for any content and however it is cut."""

from __future__ import annotations

import itertools
import math
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.results import Detection
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.errors import ProtocolError
from serving.models import Selection
from serving.protocol import StreamConfig, read_config, write_heard
from serving.readers import AudioReader, FeatureReader
from serving.session import Heard

shares = st.floats(0.0, 1.0)
UNTIMED = settings(deadline=None)


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    return caught.value.value


@UNTIMED
@given(
    selections=st.lists(
        st.builds(Selection, name=st.text(max_size=9), threshold=st.floats(allow_nan=False))
        | st.builds(Selection, name=st.text(max_size=9), budget_fa_per_hour=st.floats(allow_nan=False))
        | st.builds(Selection),
        max_size=4,
    ),
    output=st.sampled_from(pb.DetectOutput.values()),
    pipeline=st.sampled_from(pb.Pipeline.values()),
    encoding=st.sampled_from(pb.AudioEncoding.values()),
    pre_roll_s=st.floats(0.0, 60.0),
    front_ends=st.lists(st.text(max_size=9), max_size=3),
)
def test_a_configuration_is_read_as_it_was_written(
    selections: list[Selection], output: Any, pipeline: Any, encoding: Any, pre_roll_s: float, front_ends: list[str]
) -> None:
    models = [
        pb.ModelSelection(name=one.name, threshold=one.threshold, budget_fa_per_hour=one.budget_fa_per_hour)
        for one in selections
    ]
    message = pb.DetectConfig(
        models=models,
        output=output,
        pipeline=pipeline,
        encoding=encoding,
        pre_roll_s=pre_roll_s,
        front_ends=front_ends,
    )
    for kind in (pb.DetectRequest, pb.DetectFileRequest):
        config = read_config(kind.FromString(kind(config=message).SerializeToString()))
        assert config.selections == selections
        assert config.detections is (output != pb.DETECT_OUTPUT_SCORES)
        assert config.scores is (output in (pb.DETECT_OUTPUT_SCORES, pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES))
        assert config.verifier_only is (kind is pb.DetectRequest and pipeline == pb.PIPELINE_VERIFIER_ONLY)
        assert config.encoding == (encoding or pb.AUDIO_ENCODING_PCM_S16LE)
        assert list(config.made_by) == front_ends
        # Hops that end within the pre-roll, to the sample.
        samples = pre_roll_s * 16_000
        assert config.pre_roll_hops * HOP_SAMPLES <= samples + 0.5
        assert (config.pre_roll_hops + 1) * HOP_SAMPLES > samples - 0.5


def asked(**changes: Any) -> StreamConfig:
    values = {
        "selections": (),
        "detections": True,
        "scores": True,
        "verifier_only": False,
        "made_by": (),
        "pre_roll_hops": 0,
        "encoding": pb.AUDIO_ENCODING_PCM_S16LE,
    }
    return StreamConfig(**{**values, **changes})


@UNTIMED
@given(
    scores=st.lists(shares, max_size=30),
    first_hop=st.integers(0, 10**9),
    pre_roll_hops=st.integers(0, 40),
    found=st.lists(st.tuples(shares, st.floats(0.0, 1e6)), max_size=4),
)
def test_what_was_heard_is_read_as_it_was_written(
    scores: list[float], first_hop: int, pre_roll_hops: int, found: list[tuple[float, float]]
) -> None:
    detections = [
        Detection(model="beep", phrase="ok beep", score=score, start_s=start_s, end_s=start_s + HOP_S)
        for score, start_s in found
    ]
    values = np.array(scores, np.float32)
    heard = Heard(detections, {"beep": values}, first_hop, (first_hop + len(scores)) * HOP_SAMPLES)
    for wants_scores in (True, False):
        config = asked(scores=wants_scores, pre_roll_hops=pre_roll_hops)
        response = write_heard(heard, config=config)
        told = values[max(0, pre_roll_hops - first_hop) :] if wants_scores else values[:0]
        if response is None:
            assert not len(told)
            assert not detections
            continue
        read = pb.DetectResponse.FromString(response.SerializeToString())
        assert [
            Detection(model=one.model, phrase=one.phrase, score=one.score, start_s=one.start_s, end_s=one.end_s)
            for one in read.detections
        ] == detections
        assert read.processed_samples == heard.processed_samples
        assert [list(track.values) for track in read.scores] == ([list(told)] if len(told) else [])
        assert all(math.isclose(one.start_s, max(first_hop, pre_roll_hops) * HOP_S) for one in read.scores)


@UNTIMED
@given(data=st.binary(max_size=600), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_samples_are_read_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    data = data[: len(data) // 2 * 2]
    at = [0, *sorted(min(2 * cut, len(data)) for cut in cuts), len(data)]
    reader = AudioReader()
    parts = []
    for start, end in itertools.pairwise(at):
        request = pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=data[start:end]))
        piece, missing = done(reader.read(pb.DetectRequest.FromString(request.SerializeToString())))
        assert missing == 0
        parts.append(piece)
    assert np.concatenate(parts).astype("<i2").tobytes() == data


@UNTIMED
@given(steps=st.lists(st.none() | st.integers(-3, 5), max_size=10))
def test_missing_messages_are_counted(steps: list[int | None]) -> None:
    """None: a message without a number, which is the next one."""
    reader, expected = AudioReader(), 0
    for step in steps:
        sequence = None if step is None else max(0, expected + step)
        request = pb.DetectRequest(audio=pb.AudioChunk(sequence=sequence, pcm_s16le=b""))
        if sequence is not None and sequence < expected:
            with pytest.raises(ProtocolError, match="out of order"):
                reader.read(request).send(None)
            return
        _, missing = done(reader.read(request))
        assert missing == (0 if sequence is None else sequence - expected)
        expected += missing + 1


@UNTIMED
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=24))
def test_features_are_read_to_the_bit(values: list[float]) -> None:
    rows = len(values) // 6 * 2
    written = np.array(values[: rows * 3], "<f4").reshape(rows, 3)
    reader = FeatureReader(rows_per_hop=2, width=3)
    chunk = pb.FeatureChunk(rows=rows, f32le=written.tobytes())
    piece, missing = done(reader.read(pb.DetectRequest(features=chunk)))
    assert missing == 0
    np.testing.assert_array_equal(piece, written)
    assert len(piece) * reader.row_s == rows / 2 * HOP_S
