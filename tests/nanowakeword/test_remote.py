"""The client against a server in another process, and against peers that misbehave."""

from __future__ import annotations

import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError, RemoteError
from nanowakeword.graph import Graph
from nanowakeword.remote import RemoteStream, detect_remote
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.v1 import wakeword_pb2 as pb
from tests.nanowakeword.remote_peers import OPENED, REPOSITORY, ServerProcess, peer
from tests.tiny_model import silence, tone, write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "beep.onnx")


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    with ServerProcess(model) as server:
        yield server.address


@pytest.fixture(scope="module")
def recording() -> Samples:
    return np.concatenate([silence(1.5), tone(0.8), silence(3.03), tone(1.2, amplitude=7_000), silence(0.5)])


def local(model: Path, recording: Samples, *, threshold: float | None = None) -> list[Detection]:
    stream = DetectionStream(Graph.load(model), threshold=threshold)
    return stream.feed(recording) + stream.flush()


def assert_same(heard: list[Detection], expected: list[Detection]) -> None:
    """Equal in everything; scores to the tolerance that the graph promises between two ways of cutting."""
    assert [replace(one, score=0.0) for one in heard] == [replace(one, score=0.0) for one in expected]
    assert [one.score for one in heard] == pytest.approx([one.score for one in expected], abs=1e-4)


@pytest.mark.parametrize("size", [333, 1_280, 100_000])
def test_a_stream_hears_what_the_local_runtime_hears(address: str, model: Path, recording: Samples, size: int) -> None:
    heard = []
    with RemoteStream(address) as stream:
        assert stream.thresholds == {"beep": 0.75}
        for start in range(0, len(recording), size):
            heard += stream.feed(recording[start : start + size])
        heard += stream.finish()
    expected = local(model, recording)
    assert len(expected) == 2
    assert_same(heard, expected)


def test_detections_come_while_the_stream_goes_on(address: str) -> None:
    with RemoteStream(address) as stream:
        heard = stream.feed(tone(0.5))
        end = time.monotonic() + 5
        while not heard and time.monotonic() < end:
            time.sleep(0.01)
            heard = stream.feed(silence(0.0))
        assert [one.start_s for one in heard] == [pytest.approx(0.24)]
        assert stream.finish() == []
    assert stream.warnings == []


def test_a_whole_recording_in_one_call(address: str, model: Path, recording: Samples) -> None:
    long = np.concatenate([recording] * 20)
    assert_same(detect_remote(address, long, threshold=0.5), local(model, long, threshold=0.5))
    assert_same(detect_remote(address, recording, budget_fa_per_hour=2.0), local(model, recording, threshold=0.5))
    assert_same(detect_remote(address, recording, models=["beep"]), local(model, recording))
    assert_same(detect_remote(address, recording, models="beep"), local(model, recording))


def test_two_streams_at_one_time(address: str, model: Path, recording: Samples) -> None:
    other = np.concatenate([tone(0.4), recording])
    heard: list[list[Detection]] = [[], []]
    with RemoteStream(address) as first, RemoteStream(address) as second:
        for start in range(0, len(other), 1_280):
            heard[0] += first.feed(recording[start : start + 1_280])
            heard[1] += second.feed(other[start : start + 1_280])
        heard[0] += first.finish()
        heard[1] += second.finish()
    assert_same(heard[0], local(model, recording))
    assert_same(heard[1], local(model, other))


def test_leaving_early_is_quick_and_leaves_no_threads(address: str) -> None:
    before = threading.active_count()
    began = time.monotonic()
    for _ in range(5):
        with RemoteStream(address) as stream:
            stream.feed(tone(1.0))
    assert time.monotonic() - began < 3.0
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_closed_stream_says_so(address: str) -> None:
    with RemoteStream(address) as stream:
        stream.finish()
        with pytest.raises(RemoteError, match="the stream is closed"):
            stream.feed(tone(0.1))
        with pytest.raises(RemoteError, match="the stream is closed"):
            stream.finish()
    stream.close()


@pytest.mark.parametrize("audio", [np.zeros(10, np.float32), np.zeros((2, 10), np.int16), b"\0\0"])
def test_wrong_audio_is_refused_here(address: str, audio: Any) -> None:
    with RemoteStream(address) as stream:
        with pytest.raises(AudioError):
            stream.feed(audio)
        assert stream.finish() == []


def test_what_the_server_refuses_is_told(address: str) -> None:
    with pytest.raises(RemoteError, match=r"NOT_FOUND: .*'alexa'; expected beep.*Ask for a model"):
        RemoteStream(address, models=["alexa"])
    with pytest.raises(RemoteError, match=r"INVALID_ARGUMENT: .*2\.5"):
        RemoteStream(address, threshold=2.5)


BAD: dict[str, dict[str, Any]] = {
    "no port": {"address": "127.0.0.1"},
    "no host": {"address": ":8765"},
    "port 0": {"address": "127.0.0.1:0"},
    "port range": {"address": "127.0.0.1:70000"},
    "web": {"address": "http://127.0.0.1:8765"},
    "words": {"address": "my server"},
    "both": {"address": "127.0.0.1:1", "threshold": 0.5, "budget_fa_per_hour": 0.5},
    "no time": {"address": "127.0.0.1:1", "timeout_s": 0.0},
    "nan": {"address": "127.0.0.1:1", "timeout_s": float("nan")},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name: str) -> None:
    with pytest.raises(ConfigError):
        RemoteStream(**BAD[name])


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening: connections are refused
        port = unused.getsockname()[1]
        with pytest.raises(RemoteError, match=f"cannot reach a server at 127.0.0.1:{port}.*python -m serving"):
            RemoteStream(f"127.0.0.1:{port}")


def test_somebody_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(RemoteError, match=r"does not answer; expected within 0\.3 s"):
            RemoteStream(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)
        assert time.monotonic() - began < 3.0


def feed_on(stream: RemoteStream) -> None:
    """Feed silence for up to 4 s, as a microphone would."""
    with stream:
        for _ in range(200):
            stream.feed(silence(0.02))
            time.sleep(0.02)


def test_some_other_service() -> None:
    with peer(None) as address, pytest.raises(RemoteError, match=r"UNIMPLEMENTED.*Is this a NanoWakeword server"):
        RemoteStream(address)


def test_a_server_that_stops_taking_audio() -> None:
    release: queue.Queue[None] = queue.Queue()

    def stuck(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        yield OPENED
        release.get(timeout=20)

    with peer(stuck) as address, RemoteStream(address, timeout_s=0.5) as stream:
        began = time.monotonic()
        with pytest.raises(RemoteError, match=r"takes no audio; expected within 0\.5 s"):
            stream.feed(np.zeros(16_000 * 600, np.int16))
        assert time.monotonic() - began < 5.0
        release.put(None)


def test_a_server_that_does_not_finish() -> None:
    release: queue.Queue[None] = queue.Queue()

    def stuck(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        yield OPENED
        release.get(timeout=20)

    with peer(stuck) as address, RemoteStream(address, timeout_s=0.3) as stream:
        stream.feed(tone(0.1))
        with pytest.raises(RemoteError, match=r"does not finish; expected within 0\.3 s"):
            stream.finish()
        release.put(None)


def test_a_server_that_ends_the_stream_early() -> None:
    def early(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        yield OPENED

    def never(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        yield from ()

    with peer(early) as address, pytest.raises(RemoteError, match="ended the stream early"):
        feed_on(RemoteStream(address))
    with peer(never) as address, pytest.raises(RemoteError, match="ended the stream early"):
        RemoteStream(address)


def test_a_server_that_gives_up_releases_who_waits() -> None:
    """A feed that waits for room learns at once that there will be none."""

    def give_up(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        yield OPENED
        time.sleep(0.5)
        raise RuntimeError("tired")

    with peer(give_up) as address, RemoteStream(address, timeout_s=10.0) as stream:
        began = time.monotonic()
        with pytest.raises(RemoteError, match="tired"):
            stream.feed(np.zeros(16_000 * 600, np.int16))
        assert time.monotonic() - began < 3.0


def test_a_server_that_dies(model: Path) -> None:
    with ServerProcess(model) as server, RemoteStream(server.address) as stream:
        stream.feed(tone(0.1))
        server.kill()
        with pytest.raises(RemoteError, match=r"was lost; got UNAVAILABLE.*connect again"):
            feed_on(stream)


def test_scores_come_with_the_detections(address: str, model: Path, recording: Samples) -> None:
    with RemoteStream(address, scores=True) as stream:
        heard, scores = [], []
        for start in range(0, len(recording), 4_000):
            heard += stream.feed(recording[start : start + 4_000])
            scores += list(stream.scores.get("beep", ()))
        heard += stream.finish()
        scores += list(stream.scores["beep"])
    assert_same(heard, local(model, recording))
    expected = DetectionStream(Graph.load(model))
    expected.feed(np.pad(recording, (0, -len(recording) % 1_280)))
    np.testing.assert_allclose(scores, expected.scores, atol=1e-6)
    with RemoteStream(address) as stream:
        stream.feed(recording)
        stream.finish()
        assert stream.scores == {}


def test_importing_needs_no_grpc_and_using_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['grpc'] = None\n"
        "import nanowakeword.remote as remote\n"
        "try: remote.RemoteStream('127.0.0.1:1')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=True
    )
    assert re.match(r"DependencyError .*pip install \"nanowakeword\[remote\]\"", done.stdout), done.stdout
