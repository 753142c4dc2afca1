"""What happens to streams besides audio: silence, slow readers, warnings, the seconds before the gate fired."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from nanowakeword import remote_server
from nanowakeword.arrays import Samples
from nanowakeword.graph import Graph
from nanowakeword.timing import HOP_S
from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceStub
from serving.key_ring import ApiKey
from serving.session import Session
from serving.transport import Patience
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, pieces, wait_for
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

HOP = np.zeros(1_280, np.int16)
REPOSITORY = Path(__file__).parents[2]
SCORES = config(output=pb.DETECT_OUTPUT_SCORES)
# A client whose window for answers holds some thirty of them.
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1_024))


class Conversation:
    """A stream that is sent one message at a time, when the test says."""

    def __init__(self, stub: Any, first: pb.DetectRequest | None = None, **options: Any) -> None:
        self._queue: queue.Queue[pb.DetectRequest | None] = queue.Queue()
        self.call = stub.Detect(iter(self._queue.get, None), timeout=TIMEOUT_S, **options)
        if first is not None:
            self.send(first)
            assert next(self.call).HasField("opened")

    def send(self, request: pb.DetectRequest | None) -> None:
        self._queue.put(request)

    def ends(self) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError):
            list(self.call)
        self.send(None)
        return self.call.code(), self.call.details()


def idle_refusals(server: RunningServer) -> float:
    return server.metrics.registry.get_sample_value("nanowakeword_refusals_total", {"reason": "idle"}) or 0.0


@pytest.mark.parametrize("first", [None, config()], ids=["before its configuration", "after it"])
def test_a_silent_client_is_ended(start: Callable[..., RunningServer], first: pb.DetectRequest | None) -> None:
    server = start(idle_timeout_s=0.3)
    with server.stub() as stub:
        code, details = Conversation(stub, first).ends()
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert details == "the client neither sent nor took anything for 0.3 s"
    assert server.open_streams == 0
    assert server.engine.open_streams == 0
    assert idle_refusals(server) == 1.0


def test_a_file_that_does_not_come_is_ended(start: Callable[..., RunningServer]) -> None:
    server = start(idle_timeout_s=0.3)
    release = threading.Event()

    def requests() -> Iterator[pb.DetectFileRequest]:
        yield pb.DetectFileRequest(config=pb.DetectConfig())
        release.wait(TIMEOUT_S)

    with server.stub() as stub, pytest.raises(grpc.RpcError) as caught:
        stub.DetectFile(requests(), timeout=TIMEOUT_S)
    release.set()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_client_that_sends_is_not_idle(start: Callable[..., RunningServer]) -> None:
    server = start(idle_timeout_s=0.4)
    with server.stub() as stub:
        stream = Conversation(stub, config())
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            stream.send(audio(HOP))
            time.sleep(0.05)
        stream.send(None)
        assert list(stream.call) == []
    assert idle_refusals(server) == 0.0


def test_a_client_that_waits_for_the_server_is_not_idle(
    start: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(idle_timeout_s=0.3)
    run = Graph.run

    def slow(self: Graph, *arguments: Any) -> Any:
        time.sleep(0.8)
        return run(self, *arguments)

    monkeypatch.setattr(Graph, "run", slow)
    assert len(server.talk([SCORES, audio(HOP)])) == 2


def test_no_timeout_is_no_timeout(start: Callable[..., RunningServer]) -> None:
    server = start(idle_timeout_s=0.0)
    with server.stub() as stub:
        stream = Conversation(stub, config())
        time.sleep(0.5)
        stream.send(None)
        assert list(stream.call) == []


def test_our_client_does_not_ask_too_often() -> None:
    """A server sends away who asks more than three times as often as it asks itself."""
    assert Patience().ping_every_s / 3 < remote_server._PING_EVERY_S


def test_a_client_that_takes_nothing_is_ended(start: Callable[..., RunningServer]) -> None:
    """Its answers fill the flow-control window, and the server waits to write."""
    server = start(idle_timeout_s=0.5)
    with server.stub(*NARROW) as stub:
        stream = Conversation(stub)
        stream.send(SCORES)
        for _ in range(400):
            stream.send(audio(HOP))
        wait_for(lambda: server.open_streams == 1)
        wait_for(lambda: server.open_streams == 0)
        assert idle_refusals(server) == 1.0
        assert stream.ends()[0] is grpc.StatusCode.DEADLINE_EXCEEDED


def test_slow_readers_cost_no_memory(models: list[Path]) -> None:
    """Clients that send as fast as they can and read nothing; a server of its own, to see its memory."""
    arguments = ["--model", str(models[0]), "--port", "0", "--max-streams", "100"]
    with subprocess.Popen(
        [sys.executable, "-m", "serving", *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"listening on (\S+):", process.stdout.readline())
            assert found
            _flood(found[1], streams=2)  # what a first stream needs is there now
            before = _memory_mib(process.pid)
            sent = _flood(found[1], streams=6)
            assert 30 < min(sent) <= max(sent) < 1_000, "until the windows are full, in both directions"
            assert _memory_mib(process.pid) - before < 20
        finally:
            process.terminate()


def _flood(address: str, *, streams: int) -> list[int]:
    """Messages that the server took of each stream until it took no more."""
    sent = [0] * streams
    over = threading.Event()

    def requests(number: int) -> Iterator[pb.DetectRequest]:
        yield SCORES
        for _ in range(50_000):
            if over.is_set():
                return
            yield audio(HOP)
            sent[number] += 1

    options = [*NARROW, ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(address, options=options) for _ in range(streams)]
    stubs = [WakeWordServiceStub(channel) for channel in channels]  # type: ignore[no-untyped-call]
    calls = [stub.Detect(requests(number), timeout=60.0) for number, stub in enumerate(stubs)]
    before = None
    while before != sent or not all(sent):
        before = list(sent)
        time.sleep(0.5)
    over.set()
    for call, channel in zip(calls, channels, strict=True):
        call.cancel()
        channel.close()
    return sent


def _memory_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096 / 2**20


def test_late_audio_is_told(start: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """A hop waits while another stream keeps the only inference thread; the next answer says so."""
    server = start(threads=1)
    began, release = threading.Event(), threading.Event()
    run = Graph.run

    def stuck(self: Graph, *arguments: Any) -> Any:
        began.set()
        release.wait(TIMEOUT_S)
        return run(self, *arguments)

    with server.stub() as stub:
        late, other = Conversation(stub, SCORES), Conversation(stub, SCORES)
        monkeypatch.setattr(Graph, "run", stuck)
        other.send(audio(HOP))
        assert began.wait(TIMEOUT_S)
        late.send(audio(HOP))
        time.sleep(0.4)
        release.set()
        assert not next(late.call).warnings
        late.send(audio(HOP))
        (warning,) = next(late.call).warnings
        for stream in (late, other):
            stream.send(None)
            list(stream.call)
    assert warning.kind == pb.WARNING_KIND_OVERLOAD
    assert re.fullmatch(
        r"the server is overloaded: audio waited 0\.\d\d s to be judged; expected 0\.25 s at most", warning.text
    )
    assert warning.at_s == HOP_S


def test_lateness_is_told_once_each_time(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lags_s = [0.0, 0.3, 0.4, 0.2, 0.3, 0.05, 0.3]
    left = list(lags_s)
    monkeypatch.setattr(Session, "lag_s", property(lambda _: left.pop(0)))
    responses = server.talk([SCORES, *[audio(HOP)] * len(lags_s)])[1:]
    assert [len(response.warnings) for response in responses] == [0, 1, 0, 0, 0, 0, 1]


def test_credentials_that_expire_soon_are_told_once(start: Callable[..., RunningServer]) -> None:
    server = start(api_keys=(ApiKey.of("0123456789abcdef", name="kitchen"),), enable_tokens=True)
    with server.stub() as stub:
        key = (("x-api-key", "0123456789abcdef"),)
        for ttl_s, expected in ((30.0, [pb.WARNING_KIND_CREDENTIALS_EXPIRE]), (3_000.0, [])):
            token = stub.IssueToken(pb.IssueTokenRequest(ttl_s=ttl_s), metadata=key, timeout=5.0).token
            stream = Conversation(stub, SCORES, metadata=(("authorization", f"Bearer {token}"),))
            told = []
            for _ in range(2):
                stream.send(audio(HOP))
                told += next(stream.call).warnings
            stream.send(None)
            assert list(stream.call) == []
            assert [warning.kind for warning in told] == expected


def test_a_replaced_model_is_told_and_goes_on(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "beep.onnx")
    server = start(models=(), model_dir=tmp_path)
    (tmp_path / "new").mkdir()
    write_tiny_model(tmp_path / "new" / "beep.onnx", tiny_card(threshold=0.6))
    with server.stub() as stub:
        stream = Conversation(stub, SCORES)
        shutil.move(tmp_path / "new" / "beep.onnx", tmp_path / "beep.onnx")
        wait_for(lambda: server.engine.models[0].threshold == 0.6)
        told: list[pb.StreamWarning] = []
        for _ in range(3):
            stream.send(audio(HOP))
            told += next(stream.call).warnings
        stream.send(None)
        assert list(stream.call) == []
    assert [warning.kind for warning in told] == [pb.WARNING_KIND_MODEL_REPLACED]
    assert told[0].text == "model 'beep' was replaced; this stream goes on with the one it was opened with"


def begin(pre_roll_s: float, output: pb.DetectOutput = pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES) -> pb.DetectRequest:
    return pb.DetectRequest(config=pb.DetectConfig(pre_roll_s=pre_roll_s, output=output))


def test_nothing_is_said_about_the_pre_roll_but_it_is_heard(server: RunningServer, recording: Samples) -> None:
    whole = server.talk([begin(0.0), *map(audio, pieces(recording, 4_000))])
    later = server.talk([begin(3.5), *map(audio, pieces(recording, 4_000))])

    def scores(responses: list[pb.DetectResponse]) -> dict[int, float]:
        return {
            round(track.start_s / HOP_S) + index: value
            for response in responses
            for track in response.scores
            for index, value in enumerate(track.values)
        }

    expected = {hop: score for hop, score in scores(whole).items() if (hop + 1) * HOP_S > 3.5}
    assert scores(later) == pytest.approx(expected, abs=1e-4)
    starts = [[one.start_s for response in some for one in response.detections] for some in (whole, later)]
    assert len(starts[0]) > len(starts[1])
    assert starts[1] == [start_s for start_s in starts[0] if start_s > 3.5]


def test_a_word_that_lasts_beyond_the_pre_roll_is_heard_after_it(server: RunningServer) -> None:
    """What fired within the pre-roll is not told, and does not silence what follows."""
    heard = np.concatenate([silence(0.4), tone(1.0), silence(0.6)])
    (early,) = [one for response in server.talk([begin(0.0), audio(heard)]) for one in response.detections]
    assert early.end_s < 1.0
    (late,) = [one for response in server.talk([begin(1.0), audio(heard)]) for one in response.detections]
    assert late.start_s == pytest.approx(12 * HOP_S)


@pytest.mark.parametrize("pre_roll_s", [-0.1, 60.1, float("nan"), float("inf")])
def test_a_pre_roll_is_a_minute_at_most(server: RunningServer, pre_roll_s: float) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.talk([begin(pre_roll_s)])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "bad pre_roll_s" in caught.value.details()
