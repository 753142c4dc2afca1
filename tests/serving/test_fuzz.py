"""Whatever arrives, in whatever order: the server answers it with a status, forgets it, and serves the next client."""

from __future__ import annotations

import contextlib
from typing import Any

import grpc
import numpy as np
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_MESSAGE_BYTES
from tests.serving.encoded import flac_stream, opus_packets
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, wait_for
from tests.tiny_model import tone

SERVICE = "/nanowakeword.v1.WakeWordService"
# What a stranger can cause; INTERNAL and UNKNOWN would be faults of ours.
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}
BOUNDED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PACKETS = opus_packets(tone(0.2))
FLAC = flac_stream(tone(0.5))
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
    pre_roll_s=st.just(0.0) | st.floats(),
    encoding=st.sampled_from([*pb.AudioEncoding.values(), -1, 4]),
)
sequences = st.none() | st.integers(0, 5) | st.integers(0, 2**64 - 1)
chunks = (
    st.builds(
        pb.AudioChunk,
        sequence=sequences,
        pcm_s16le=st.none() | st.binary(max_size=8_000) | st.integers(65_000, 70_000).map(bytes),
    )
    | st.builds(pb.AudioChunk, sequence=sequences, opus_packet=st.sampled_from(PACKETS) | st.binary(max_size=99))
    | st.builds(pb.AudioChunk, flac=st.sampled_from([FLAC[:99], FLAC[99:], FLAC]) | st.binary(max_size=99))
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
    wait_for(lambda: server.open_streams == server.engine.open_streams == server.guard.open_streams == 0)
    assert len(server.talk([config(), audio(tone(0.5))])) == 2


def send(server: RunningServer, data: list[bytes], *, method: str = "Detect") -> None:
    """Any call is a stream of messages on the wire, so that those of one message can be sent none, or two."""
    response = pb.DESCRIPTOR.services_by_name["WakeWordService"].methods_by_name[method].output_type
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(f"{SERVICE}/{method}")(iter(data), timeout=TIMEOUT_S)
        with contextlib.suppress(grpc.RpcError):
            for answer in call:
                GetMessageClass(response).FromString(answer)
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


GOOD = [
    pb.DetectRequest(config=pb.DetectConfig(models=[pb.ModelSelection(name="boop", threshold=0.5)], pre_roll_s=0.1)),
    audio(tone(0.3), sequence=0),
    audio(tone(0.3), sequence=3),
]
GOOD_FILE = [
    pb.DetectFileRequest(config=pb.DetectConfig(output=pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES)),
    pb.DetectFileRequest(data=FLAC[:300]),
    pb.DetectFileRequest(data=FLAC[300:]),
]


@st.composite
def mutated(draw: st.DrawFn, messages: list[Any]) -> list[bytes]:
    """Good messages with bytes changed, taken out, put in and cut off, and whole messages moved and doubled."""
    data = [bytearray(message.SerializeToString()) for message in messages]
    for _ in range(draw(st.integers(1, 6))):
        one = data[draw(st.integers(0, len(data) - 1))]
        at = draw(st.integers(0, min(len(one), 40)))  # where the fields are, and not only the audio
        kind = draw(st.sampled_from(["change", "take", "put", "cut", "move", "double"]))
        if kind == "change" and at < len(one):
            one[at] = draw(st.integers(0, 255))
        elif kind == "take":
            del one[at : at + draw(st.integers(1, 5))]
        elif kind == "put":
            one[at:at] = draw(st.binary(max_size=5))
        elif kind == "cut":
            del one[at:]
        elif kind == "move":
            data.insert(draw(st.integers(0, len(data))), data.pop())
        else:
            data.append(bytearray(one))
    return [bytes(one) for one in data]


@BOUNDED
@given(data=mutated(GOOD))
def test_good_streams_gone_bad(server: RunningServer, data: list[bytes]) -> None:
    send(server, data)
    assert_survived(server)


@BOUNDED
@given(data=mutated(GOOD_FILE))
def test_good_files_gone_bad(server: RunningServer, data: list[bytes]) -> None:
    send(server, data, method="DetectFile")
    assert_survived(server)


@BOUNDED
@given(
    method=st.sampled_from(["ListModels", "GetServerInfo", "IssueToken", "RevokeToken", "DetectFile"]),
    data=st.lists(st.binary(max_size=60), max_size=3),
)
def test_random_bytes_to_every_call(server: RunningServer, method: str, data: list[bytes]) -> None:
    send(server, data, method=method)
    assert_survived(server)


def test_messages_above_the_limit(server: RunningServer) -> None:
    giant = audio(np.zeros(MAX_MESSAGE_BYTES, np.int16)).SerializeToString()
    for method in ("Detect", "DetectFile", "ListModels"):
        send(server, [giant], method=method)
        send(server, [config().SerializeToString(), giant], method=method)
    assert_survived(server)


def test_half_closed_before_and_after_each_message(server: RunningServer) -> None:
    whole = [message.SerializeToString() for message in GOOD]
    for length in range(len(whole) + 1):
        send(server, whole[:length])
    files = [message.SerializeToString() for message in GOOD_FILE]
    for length in range(len(files) + 1):
        send(server, files[:length], method="DetectFile")
    assert_survived(server)


def test_many_empty_chunks(server: RunningServer) -> None:
    empty = pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=b"")).SerializeToString()
    send(server, [config().SerializeToString(), *[empty] * 500])
    assert_survived(server)


def test_many_clients_that_leave_at_once(server: RunningServer) -> None:
    for _ in range(50):
        with server.stub() as stub:
            stub.Detect(iter([config(), audio(np.zeros(32_000, np.int16))]), timeout=TIMEOUT_S)
    assert_survived(server)
