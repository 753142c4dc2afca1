"""Health, reflection, information, cancelled streams and the orderly end."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import onnxruntime
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import nanowakeword
from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES
from serving.server import SERVICE_NAME
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, wait_for

HOP = np.zeros(1_280, np.int16)


class Requests:
    """Requests that are sent one by one, when the test says."""

    def __init__(self) -> None:
        self._queue: queue.Queue[pb.DetectRequest | None] = queue.Queue()

    def send(self, request: pb.DetectRequest | None) -> None:
        self._queue.put(request)

    def __iter__(self) -> Iterator[pb.DetectRequest]:
        while (request := self._queue.get(timeout=TIMEOUT_S)) is not None:
            yield request


def begin(stub: Any) -> tuple[Requests, Any]:
    """An open stream."""
    requests = Requests()
    call = stub.Detect(iter(requests), timeout=TIMEOUT_S)
    requests.send(config())
    assert next(call).HasField("opened")
    return requests, call


@pytest.mark.parametrize("service", ["", SERVICE_NAME])
def test_health(server: RunningServer, service: str) -> None:
    with grpc.insecure_channel(server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=5.0)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_service(server: RunningServer) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=5.0)
    names = {service.name for service in answer.list_services_response.service}
    assert {"nanowakeword.v1.WakeWordService", "grpc.health.v1.Health"} <= names


def test_models_are_listed_with_their_cards(server: RunningServer, graphs: dict[str, Graph]) -> None:
    with server.stub() as stub:
        beep, boop = stub.ListModels(pb.ListModelsRequest(), timeout=5.0).models
    assert (beep.name, beep.phrase, beep.kind, beep.is_default, beep.threshold) == (
        "beep",
        "beep",
        "detector",
        True,
        0.75,
    )
    assert (beep.sample_rate_hz, beep.hop_samples, beep.receptive_field_samples, beep.state_size) == (
        16_000,
        1_280,
        5_120,
        3,
    )
    assert [(row.fa_per_hour, row.threshold, row.hours, row.basis) for row in beep.thresholds] == [
        (0.5, 0.75, 3.0, "real speech"),
        (2.0, 0.5, 3.0, "real speech"),
    ]
    assert json.loads(beep.card_json) == graphs["beep"].card.content
    assert (boop.name, boop.is_default, boop.threshold, boop.receptive_field_samples) == ("boop", False, 0.4, 0)


def test_versions_and_limits(server: RunningServer) -> None:
    with server.stub() as stub:
        begun = begin(stub)
        info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5.0)
        begun[0].send(None)
    assert info.server_version == nanowakeword.__version__
    assert info.onnxruntime_version == onnxruntime.__version__
    assert info.grpc_version == grpc.__version__
    assert list(info.protocols) == ["nanowakeword.v1"]
    assert info.max_audio_bytes == MAX_AUDIO_BYTES
    assert info.open_streams == 1


def test_a_cancelled_stream_is_freed(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    with server.stub() as stub:
        requests, call = begin(stub)
        requests.send(audio(HOP))
        assert server.open_streams == 1
        call.cancel()
        wait_for(lambda: server.open_streams == 0)
        requests.send(None)
    assert not caplog.records


def test_a_client_that_vanishes_is_freed(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    """The connection goes away in the middle of a flood of answers."""
    with server.stub() as stub:
        requests, _ = begin(stub)
        for _ in range(20):
            requests.send(audio(HOP))
    requests.send(None)
    wait_for(lambda: server.open_streams == 0)
    assert not caplog.records


def test_a_reader_that_does_not_read_stops_its_own_stream(
    start: Callable[..., RunningServer], recording: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    """Scores nobody reads fill the flow-control window; then the server takes no more audio, and others go on."""
    server = start()
    sent = 0

    def flood() -> Iterator[pb.DetectRequest]:
        nonlocal sent
        yield config(output=pb.DETECT_OUTPUT_SCORES)
        while True:
            yield audio(np.zeros(32_000, np.int16))
            sent += 1

    # The client's own window, too, stays at 64 KiB.
    with server.stub(("grpc.http2.bdp_probe", 0)) as stub:
        call = stub.Detect(flood(), timeout=60.0)
        before = -1
        while before < sent or sent < 10:
            before = sent
            time.sleep(0.5)
        assert len(server.talk([config(), audio(recording[:32_000]), audio(recording[32_000:64_000])])) > 1
        assert sent == before, "still no room"
        call.cancel()
    assert sent < 4_000, "answers of 130 bytes: more than the windows hold"
    wait_for(lambda: server.open_streams == 0)
    assert not caplog.records


def test_drain_lets_a_stream_finish(start: Callable[..., RunningServer]) -> None:
    server = start()
    with server.stub() as stub, server.stub() as other:
        requests, call = begin(stub)
        stopped = server.stop(drain_s=8.0)
        wait_for(lambda: _refuses(other))
        requests.send(audio(HOP))
        (warning,) = next(call).warnings
        assert warning.kind == pb.WARNING_KIND_DRAINING
        requests.send(audio(HOP))
        requests.send(None)
        began = time.monotonic()
        assert list(call) == []
        assert call.code() is grpc.StatusCode.OK
        stopped.result(TIMEOUT_S)
        assert time.monotonic() - began < 4.0, "nothing is left to wait for"


def test_drain_ends_a_stream_that_does_not(start: Callable[..., RunningServer]) -> None:
    server = start()
    with server.stub() as stub:
        requests, call = begin(stub)
        began = time.monotonic()
        server.stop(drain_s=0.3).result(TIMEOUT_S)
        assert 0.3 <= time.monotonic() - began < 3.0
        with pytest.raises(grpc.RpcError):
            next(call)
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert call.details() == "the server is stopping; connect again"
        requests.send(None)
    assert server.open_streams == 0


def test_a_taken_port_is_told(start: Callable[..., RunningServer], server: RunningServer) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{server.port}.*free port.*--port 0"):
        start(port=server.port)


def test_only_loopback_listens(server: RunningServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5.0):
        pass
    here = socket.gethostbyname(socket.gethostname())
    if not here.startswith("127."):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((here, server.port), timeout=5.0)


def test_the_loop_is_not_blocked_by_inference(
    start: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all inference threads are stuck, health still answers."""
    server = start(threads=1)
    release = threading.Event()
    run = Graph.run

    def stuck(self: Graph, *arguments: Any) -> Any:
        release.wait(TIMEOUT_S)
        return run(self, *arguments)

    monkeypatch.setattr(Graph, "run", stuck)
    with server.stub() as stub:
        requests, call = begin(stub)
        requests.send(audio(HOP))
        try:
            info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5.0)
        finally:
            release.set()
        assert info.open_streams == 1
        requests.send(None)
        assert list(call) == []


def _refuses(stub: Any) -> bool:
    try:
        stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=1.0)
    except grpc.RpcError as error:
        return bool(error.code() is grpc.StatusCode.UNAVAILABLE)
    return False
