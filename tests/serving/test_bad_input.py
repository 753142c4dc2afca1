"""Wrong messages end their own stream with a line that says what was wrong, and nothing else."""

from __future__ import annotations

import logging
import math

import grpc
import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES, MAX_MESSAGE_BYTES
from serving.session import Session
from tests.serving.running import RunningServer, audio, config, wait_for

HOP = np.zeros(1_280, np.int16)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def raw(data: bytes) -> pb.DetectRequest:
    return pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=data))


def model(name: str = "", **where: float) -> pb.DetectRequest:
    return config(pb.ModelSelection(name=name, **where))


BAD = {
    "nothing at all": ([], INVALID, "ended before it began"),
    "audio first": ([audio(HOP)], INVALID, "got audio; expected config"),
    "empty first": ([pb.DetectRequest()], INVALID, "got nothing"),
    "two configs": ([config(), config()], INVALID, "got config; expected audio"),
    "empty later": ([config(), pb.DetectRequest()], INVALID, "got nothing"),
    "unset audio": ([config(), pb.DetectRequest(audio=pb.AudioChunk(sequence=0))], INVALID, "expected pcm_s16le"),
    "half a sample": ([config(), raw(b"abc")], INVALID, "got 3 bytes; expected an even number"),
    "oversize": ([config(), raw(bytes(MAX_AUDIO_BYTES + 2))], INVALID, "got 65538 bytes; expected at most 65536"),
    "giant": ([config(), raw(bytes(MAX_MESSAGE_BYTES))], grpc.StatusCode.RESOURCE_EXHAUSTED, str(MAX_MESSAGE_BYTES)),
    "unknown model": ([model("alexa")], grpc.StatusCode.NOT_FOUND, "got 'alexa'; expected beep, boop"),
    "long name": ([model("x" * 9_999)], grpc.StatusCode.NOT_FOUND, "xxx'..."),
    "model twice": (
        [config(pb.ModelSelection(), pb.ModelSelection(name="beep"))],
        INVALID,
        "'beep' is asked for twice",
    ),
    "threshold 0": ([model(threshold=0.0)], INVALID, "threshold"),
    "threshold 1.01": ([model(threshold=1.01)], INVALID, "1.01"),
    "threshold nan": ([model(threshold=math.nan)], INVALID, "nan"),
    "budget 0": ([model(budget_fa_per_hour=0.0)], INVALID, "a number above 0"),
    "budget too small": ([model(budget_fa_per_hour=0.1)], INVALID, "0.5, 2"),
    "budget nan": ([model(budget_fa_per_hour=math.nan)], INVALID, "a number above 0"),
    "no budgets": ([model("boop", budget_fa_per_hour=1.0)], INVALID, "no threshold for 1 false accepts per hour"),
    "unknown output": ([config(output=77)], INVALID, "DETECT_OUTPUT_SCORES"),  # type: ignore[arg-type]
    "order": (
        [config(), audio(HOP, sequence=3), audio(HOP, sequence=3)],
        INVALID,
        "got sequence 3; expected 4 or more",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_clear_status(server: RunningServer, name: str) -> None:
    requests, code, text = BAD[name]
    with pytest.raises(grpc.RpcError) as caught:
        server.talk(requests)
    error = caught.value
    assert (error.code(), text in error.details()) == (code, True), error.details()
    assert "\n" not in error.details()
    wait_for(lambda: server.open_streams == 0)
    assert len(server.talk([config(), audio(HOP)])) == 1


def test_bytes_that_are_no_message(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream("/nanowakeword.v1.WakeWordService/Detect")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b"\xff\xff\xff\xff"]), timeout=10.0))
    assert caught.value.code() == INVALID
    assert not caplog.records, "a stranger must not fill the log"
    assert len(server.talk([config(), audio(HOP)])) == 1


def test_a_sequence_may_be_as_large_as_it_can(server: RunningServer) -> None:
    responses = server.talk([config(), audio(HOP, sequence=2**64 - 1)])
    assert responses[1].warnings[0].missing_messages == 2**64 - 1


def test_empty_audio_is_nothing(server: RunningServer) -> None:
    assert len(server.talk([config(), raw(b""), raw(b"")])) == 1


def test_a_fault_of_ours_tells_the_log_and_not_the_client(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Session, audio: Samples) -> None:
        raise ZeroDivisionError("secret path /srv/models")

    monkeypatch.setattr(Session, "judge", broken)
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.RpcError) as caught:
        server.talk([config(), audio(HOP)])
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert caught.value.details() == "internal error; the server's log tells more"
    assert "secret path" in caplog.text
