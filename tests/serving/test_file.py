"""Recordings sent whole: heard as streams are, bounded in every way, and nothing of them stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import serving.detect_file
from nanowakeword.arrays import Samples
from nanowakeword.audio import audio_blocks
from nanowakeword.graph import Graph
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import HOP_S
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES
from tests.nanowakeword.audio_files import wav_that_claims
from tests.serving.encoded import file_of
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, wait_for
from tests.tiny_model import silence, tone


def begin(**settings: Any) -> pb.DetectFileRequest:
    return pb.DetectFileRequest(config=pb.DetectConfig(**settings))


def pieces(data: bytes, size: int = MAX_AUDIO_BYTES) -> Iterator[pb.DetectFileRequest]:
    for start in range(0, len(data), size):
        yield pb.DetectFileRequest(data=data[start : start + size])


def send(server: RunningServer, *requests: pb.DetectFileRequest) -> pb.DetectFileResponse:
    with server.stub() as stub:
        response: pb.DetectFileResponse = stub.DetectFile(iter(requests), timeout=TIMEOUT_S)
    return response


def refused(server: RunningServer, *requests: pb.DetectFileRequest) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        send(server, *requests)
    wait_for(lambda: server.open_streams == 0)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("size", [1_000, MAX_AUDIO_BYTES])
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_file_is_heard_as_the_local_runtime_hears_it(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples, size: int, kind: str
) -> None:
    stream = DetectionStream(graphs["beep"])
    expected = stream.feed(recording) + stream.flush()
    assert len(expected) == 3
    response = send(server, begin(), *pieces(file_of(recording, format=kind), size))
    assert [(one.start_s, one.end_s, one.phrase) for one in response.detections] == [
        (one.start_s, one.end_s, one.phrase) for one in expected
    ]
    assert [one.score for one in response.detections] == pytest.approx([one.score for one in expected], abs=1e-4)
    assert response.duration_s == len(recording) / 16_000
    assert [(model.name, model.threshold) for model in response.models] == [("beep", 0.75)]
    assert not response.scores


@pytest.mark.parametrize("options", [{"format": "OGG"}, {"format": "MP3"}, {"format": "WAV", "subtype": "FLOAT"}])
def test_any_format_rate_and_number_of_channels(server: RunningServer, options: dict[str, str]) -> None:
    plain = np.concatenate([silence(1.0), tone(1.0), silence(1.0)])
    (expected,) = send(server, begin(), *pieces(file_of(plain))).detections
    t = np.arange(3 * 44_100) / 44_100
    wave = np.where((t > 1) & (t < 2), 0.25 * np.sin(2 * np.pi * 1_000 * t), 0.0)
    response = send(server, begin(), *pieces(file_of(np.stack([wave, wave], axis=1), rate_hz=44_100, **options)))
    assert response.duration_s == pytest.approx(3.0, abs=0.1)
    (heard,) = response.detections
    assert heard.start_s == pytest.approx(expected.start_s, abs=HOP_S + 1e-9)


def test_pipeline_and_encoding_are_not_used(server: RunningServer) -> None:
    first = begin(pipeline=pb.PIPELINE_VERIFIER_ONLY, encoding=pb.AUDIO_ENCODING_OPUS)
    assert len(send(server, first, *pieces(file_of(tone(1.0)))).detections) == 1


def test_scores_of_all_hops_come_in_one_track(server: RunningServer, graphs: dict[str, Graph]) -> None:
    heard = np.concatenate([tone(5.0), silence(6.0)])
    response = send(server, begin(output=pb.DETECT_OUTPUT_SCORES), *pieces(file_of(heard)))
    (track,) = response.scores
    stream = DetectionStream(graphs["beep"])
    stream.feed(heard)
    expected = list(stream.scores)
    stream.flush()
    np.testing.assert_allclose(track.values, [*expected, *stream.scores], atol=1e-4)
    assert (track.model, track.start_s) == ("beep", 0.0)
    assert not response.detections


def test_pre_roll_counts_from_the_start_of_the_file(server: RunningServer, recording: Samples) -> None:
    data = file_of(recording)
    every = send(server, begin(), *pieces(data)).detections
    later = send(server, begin(pre_roll_s=3.0, output=pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES), *pieces(data))
    assert [one.start_s for one in later.detections] == [one.start_s for one in every if one.start_s >= 3.0]
    assert later.scores[0].start_s == 37 * HOP_S


INVALID, FULL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
SMALL = file_of(silence(0.1))
BAD = {
    "nothing at all": ([], INVALID, "ended before it began"),
    "data first": ([pb.DetectFileRequest(data=b"a")], INVALID, "got data; expected config"),
    "two configs": ([begin(), begin()], INVALID, "got config; expected data"),
    "nothing known": ([begin(), pb.DetectFileRequest()], INVALID, "got nothing"),
    "no bytes": ([begin()], INVALID, "got an empty file"),
    "empty data": ([begin(), pb.DetectFileRequest(data=b"")], INVALID, "got an empty file"),
    "no audio": ([begin(), *pieces(b"hello, world" * 99)], INVALID, "cannot read the file; got Format not recognised"),
    "no samples": ([begin(), *pieces(file_of(silence(0.0)))], INVALID, "holds no audio"),
    "cut short": ([begin(), *pieces(SMALL[:-100])], INVALID, "the file is cut short; got 100 bytes less"),
    "cut flac": ([begin(), *pieces(file_of(tone(9.0), format="FLAC")[:-999])], INVALID, "cannot read the file"),
    "oversize": (
        [begin(), pb.DetectFileRequest(data=bytes(65_537))],
        INVALID,
        "got 65537 bytes; expected at most 65536",
    ),
    "rate": ([begin(), *pieces(wav_that_claims(rate_hz=2**31 - 1))], INVALID, "cannot read the file"),
    "unknown model": ([begin(models=[pb.ModelSelection(name="alexa")])], grpc.StatusCode.NOT_FOUND, "got 'alexa'"),
    "pre-roll": ([begin(pre_roll_s=61.0)], INVALID, "bad pre_roll_s; got 61.0; expected 0 to 60 seconds"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_clear_status(server: RunningServer, name: str) -> None:
    requests, code, text = BAD[name]
    found, details = refused(server, *requests)
    assert (found, text in details) == (code, True), details
    assert "\n" not in details
    assert "0x" not in details, "addresses in memory are nobody's business"


def test_a_file_that_is_too_large_ends_while_it_comes(start: Callable[..., RunningServer]) -> None:
    server = start(max_file_bytes=200_000)
    release = threading.Event()

    def unfinished() -> Iterator[pb.DetectFileRequest]:
        yield begin()
        yield from pieces(bytes(240_000), 60_000)
        release.wait(TIMEOUT_S)

    with server.stub() as stub, pytest.raises(grpc.RpcError) as caught:
        stub.DetectFile(unfinished(), timeout=TIMEOUT_S)
    release.set()
    assert caught.value.code() is INVALID
    assert "the file is too large; expected at most 200000 bytes" in caught.value.details()
    with server.stub() as stub:
        assert stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5.0).max_file_bytes == 200_000


def test_a_recording_that_is_too_long_ends_while_it_is_decoded(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of compressed silence in a few bytes."""
    monkeypatch.setattr(serving.detect_file, "MAX_FILE_S", 100)
    data = file_of(np.zeros(16_000 * 400, np.int16), format="FLAC")
    assert len(data) < 30_000
    code, details = refused(server, begin(), *pieces(data))
    assert (code, details.startswith("the recording is too long; expected at most 100 s")) == (INVALID, True)


def test_all_files_under_way_are_bounded(start: Callable[..., RunningServer]) -> None:
    """Four of the largest, and no more until one has ended."""
    server = start(max_file_bytes=60_000)
    release = threading.Event()

    def wait_with(data: bytes) -> Iterator[pb.DetectFileRequest]:
        yield begin()
        yield pb.DetectFileRequest(data=data)
        release.wait(TIMEOUT_S)

    whole = file_of(silence(1.8))
    with server.stub() as stub:
        calls = [stub.DetectFile.future(wait_with(whole), timeout=TIMEOUT_S) for _ in range(4)]
        wait_for(lambda: server.open_streams == 4)
        wait_for(lambda: server.server._service._files._room_bytes < 60_000)
        assert refused_while(server, begin(), *pieces(whole)) == FULL
        release.set()
        assert [call.result(TIMEOUT_S).duration_s for call in calls] == [1.8] * 4
    assert send(server, begin(), *pieces(whole)).duration_s == 1.8


def refused_while(server: RunningServer, *requests: pb.DetectFileRequest) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        send(server, *requests)
    code: grpc.StatusCode = caught.value.code()
    return code


def test_a_client_that_leaves_is_forgotten(server: RunningServer) -> None:
    release = threading.Event()

    def requests() -> Iterator[pb.DetectFileRequest]:
        yield begin()
        yield from pieces(SMALL)
        release.wait(TIMEOUT_S)

    with server.stub() as stub:
        call = stub.DetectFile.future(requests(), timeout=TIMEOUT_S)
        wait_for(lambda: server.open_streams == 1)
        call.cancel()
        wait_for(lambda: server.open_streams == 0)
        release.set()
    room = server.server._service._files
    wait_for(lambda: room._room_bytes == 4 * server.config.max_file_bytes)


def test_decoding_is_off_the_event_loop(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()
    real = audio_blocks

    def watched(*arguments: Any, **options: Any) -> Iterator[Samples]:
        threads.add(threading.current_thread().name)
        yield from real(*arguments, **options)

    monkeypatch.setattr(serving.detect_file, "audio_blocks", watched)
    send(server, begin(), *pieces(SMALL))
    assert [name[:5] for name in threads] == ["files"]


def test_nothing_is_left_on_disk(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: Samples
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    send(server, begin(), *pieces(file_of(recording, format="FLAC")))
    assert list(tmp_path.iterdir()) == []


def test_a_live_stream_goes_on_beside_a_long_file(server: RunningServer) -> None:
    """The stream's audio is not behind the five minutes of the file."""
    long = file_of(np.zeros(16_000 * 300, np.int16), format="FLAC")
    with server.stub() as stub:
        call = stub.DetectFile.future(iter([begin(), *pieces(long)]), timeout=60.0)
        for _ in range(3):
            assert len(server.talk([config(), audio(tone(0.5))])) == 2
        assert call.result(60.0).duration_s == 300.0
