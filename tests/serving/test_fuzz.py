"""Whatever arrives, in whatever order: the server answers it with a status, forgets it, and serves the next client."""

from __future__ import annotations

import contextlib

import grpc
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanowakeword.v1 import wakeword_pb2 as pb
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, wait_for
from tests.tiny_model import tone

METHOD = "/nanowakeword.v1.WakeWordService/Detect"
# What a stranger can cause; INTERNAL and UNKNOWN would be faults of ours.
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
BOUNDED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

selections = (
    st.builds(
        pb.ModelSelection,
        name=st.sampled_from(["", "beep", "boop", "no such"]) | st.text(max_size=20),
    )
    | st.builds(pb.ModelSelection, threshold=st.floats())
    | st.builds(pb.ModelSelection, budget_fa_per_hour=st.floats())
)
configs = st.builds(
    pb.DetectConfig,
    models=st.lists(selections, max_size=3),
    output=st.sampled_from([*pb.DetectOutput.values(), -1, 4, 2**31 - 1]),
    pipeline=st.sampled_from([*pb.Pipeline.values(), -1, 3]),
    front_ends=st.lists(st.sampled_from(["tone:f00d", "tone", ""]), max_size=2),
)
chunks = st.builds(
    pb.AudioChunk,
    sequence=st.none() | st.integers(0, 5) | st.integers(0, 2**64 - 1),
    pcm_s16le=st.none() | st.binary(max_size=8_000) | st.integers(65_000, 70_000).map(bytes),
)
features = st.builds(
    pb.FeatureChunk,
    sequence=st.none() | st.integers(0, 5),
    rows=st.integers(0, 9) | st.integers(0, 2**32 - 1),
    f32le=st.none() | st.binary(max_size=80) | st.integers(0, 9).map(lambda rows: bytes(8 * rows)),
)
messages = (
    st.just(pb.DetectRequest())
    | st.builds(pb.DetectRequest, config=configs)
    | st.builds(pb.DetectRequest, audio=chunks)
    | st.builds(pb.DetectRequest, features=features)
).map(pb.DetectRequest.SerializeToString)


def assert_survived(server: RunningServer) -> None:
    wait_for(lambda: server.open_streams == 0)
    assert len(server.talk([config(), audio(tone(0.5))])) == 2


def send(server: RunningServer, data: list[bytes]) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(METHOD)(iter(data), timeout=TIMEOUT_S)
        with contextlib.suppress(grpc.RpcError):
            for answer in call:
                pb.DetectResponse.FromString(answer)
    assert call.code() is grpc.StatusCode.OK or (call.code() in REFUSALS and call.details()), call


@BOUNDED
@given(data=st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes(server: RunningServer, data: list[bytes]) -> None:
    send(server, data)
    assert_survived(server)


@BOUNDED
@given(data=st.lists(messages, max_size=8))
def test_any_messages_in_any_order(server: RunningServer, data: list[bytes]) -> None:
    send(server, data)
    assert_survived(server)


@BOUNDED
@given(data=st.lists(st.builds(pb.DetectRequest, audio=chunks).map(pb.DetectRequest.SerializeToString), max_size=8))
def test_any_audio_after_a_good_start(server: RunningServer, data: list[bytes]) -> None:
    send(server, [config(output=pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES).SerializeToString(), *data])
    assert_survived(server)


@BOUNDED
@given(data=st.lists(st.builds(pb.DetectRequest, features=features), max_size=8))
def test_any_features_after_a_good_start(server: RunningServer, data: list[pb.DetectRequest]) -> None:
    good = pb.DetectRequest(config=pb.DetectConfig(pipeline=pb.PIPELINE_VERIFIER_ONLY))
    send(server, [request.SerializeToString() for request in (good, *data)])
    assert_survived(server)


def test_many_clients_that_leave_at_once(server: RunningServer) -> None:
    for _ in range(50):
        with server.stub() as stub:
            stub.Detect(iter([config(), audio(np.zeros(32_000, np.int16))]), timeout=TIMEOUT_S)
    assert_survived(server)
