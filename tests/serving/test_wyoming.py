"""The Wyoming protocol, spoken by the package's own client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

import nanowakeword
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.stream import DetectionStream
from serving import wyoming as module
from serving.wyoming import WyomingServer
from serving.wyoming_audio import AudioFormat, ToModels
from tests.serving.running import LoopThread, RunningServer, wait_for
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

REPOSITORY = Path(__file__).parents[2]
TIMEOUT_S = 10.0
Audio = npt.NDArray[np.int16]


class RunningWyoming(RunningServer):
    """A server that speaks Wyoming, too."""

    def __init__(self, loop: LoopThread, **settings: Any) -> None:
        super().__init__(loop, **{"wyoming": "tcp://127.0.0.1:0", **settings})
        self.wyoming = WyomingServer(self.config, engine=self.engine, guard=self.guard, metrics=self.metrics)

    def __enter__(self) -> RunningWyoming:
        super().__enter__()
        try:
            self.uri = self._loop.run(self.wyoming.start(announce=True))
        except BaseException:
            super().__exit__()
            raise
        self.wyoming_port = int(self.uri.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_wyoming(drain_s=0.0).result(TIMEOUT_S)
        super().__exit__()

    def stop_wyoming(self, *, drain_s: float) -> Any:
        """Begin to stop; a future."""
        return self._loop.start(self.wyoming.stop(drain_s=drain_s))

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncTcpClient]:
        """The package's client, connected."""
        async with AsyncTcpClient("127.0.0.1", self.wyoming_port, read_timeout=TIMEOUT_S) as client:
            yield client

    def talk(self, events: Iterable[Event]) -> list[Event]:  # type: ignore[override]
        """All answers to some events, and to a ping after them that tells that there are no more."""

        async def talk() -> list[Event]:
            async with self.client() as client:
                answers = []
                with contextlib.suppress(ConnectionError):  # the server may have said goodbye
                    for event in (*events, Ping(text="that is all").event()):
                        await client.write_event(event)
                while (answer := await client.read_event()) is not None:
                    if answer == Pong(text="that is all").event():
                        break
                    answers.append(answer)
                return answers

        return asyncio.run(talk())

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.wyoming_port), timeout=TIMEOUT_S)


@pytest.fixture
def serve(loop: LoopThread, models: list[Path]) -> Iterator[Callable[..., RunningWyoming]]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            RunningWyoming(loop, **{"models": tuple(models), "threads": 2, **settings})
        )


@pytest.fixture(scope="module")
def shared(loop: LoopThread, models: list[Path]) -> Iterator[RunningWyoming]:
    """A server that tests share: it has to survive all of them, and nothing may be left open."""
    with RunningWyoming(loop, models=tuple(models), threads=2) as running:
        yield running
        wait_for(lambda: running.guard.open_streams == 0)
        assert running.engine.open_streams == 0
        assert running.metrics.registry.get_sample_value("nanowakeword_streams") == 0


def stream(
    samples: Audio, *, names: list[str] | None = None, size: int = 1_024, at_ms: int | None = None
) -> Iterator[Event]:
    """A recording as satellites send it."""
    form = {"rate": 16_000, "width": 2, "channels": 1}
    yield Detect(names=names).event()
    yield AudioStart(**form, timestamp=at_ms).event()
    for start in range(0, len(samples), size):
        stamp = None if at_ms is None else at_ms + round(start / 16)
        yield AudioChunk(**form, audio=samples[start : start + size].tobytes(), timestamp=stamp).event()
    yield AudioStop().event()


def detections(events: Iterable[Event]) -> list[tuple[str | None, int | None]]:
    return [(found.name, found.timestamp) for found in map(Detection.from_event, only(events, Detection))]


def only(events: Iterable[Event], kind: Any) -> list[Event]:
    return [event for event in events if kind.is_type(event.type)]


def error(events: list[Event]) -> Error:
    """The last event, with which the server says goodbye."""
    assert Error.is_type(events[-1].type), events
    return Error.from_event(events[-1])


def expected(graph: Graph, samples: Audio) -> list[tuple[str, int]]:
    """What the same model hears on this machine."""
    local = DetectionStream(graph)
    found = local.feed(samples) + local.flush()
    assert found
    return [(one.model, round(one.end_s * 1_000)) for one in found]


def test_describe_tells_the_models(shared: RunningWyoming) -> None:
    (answer,) = shared.talk([Describe().event()])
    (program,) = Info.from_event(answer).wake
    assert (program.name, program.version, program.installed) == ("nanowakeword", nanowakeword.__version__, True)
    assert program.attribution.name == "NanoWakeword"
    assert program.attribution.url.startswith("https://")
    beep, boop = program.models
    assert (beep.name, beep.phrase, beep.description, beep.languages, beep.installed, beep.version) == (
        "beep",
        "beep",
        "beep",
        ["en-us"],
        True,
        None,
    )
    assert (boop.name, boop.phrase) == ("boop", "boop")


def test_a_card_tells_whose_networks_a_model_stands_on(serve: Callable[..., RunningWyoming], tmp_path: Path) -> None:
    front_ends = [
        {"name": "ear", "source": "https://example.org/ear, as ONNX by others", "fingerprint": "1"},
        {"name": "logmel", "fingerprint": "2"},
        {"name": "brain", "source": "https://example.org/brain", "fingerprint": "3"},
    ]
    card = tiny_card(frontends=front_ends, versions={"nanowakeword": "0.1.0"}, language="de")
    server = serve(models=(write_tiny_model(tmp_path / "beep.onnx", card),))
    (model,) = Info.from_event(server.talk([Describe().event()])[0]).wake[0].models
    assert model.attribution == Attribution(name="NanoWakeword, on ear and brain", url="https://example.org/ear")
    assert (model.version, model.languages) == ("0.1.0", ["de"])


@pytest.mark.parametrize("size", [160, 1_024, 1_280, 30_000])
def test_the_same_is_heard_as_on_this_machine(
    shared: RunningWyoming, graphs: dict[str, Graph], recording: Audio, size: int
) -> None:
    answers = shared.talk(stream(recording, names=["beep"], size=size))
    assert detections(answers) == expected(graphs["beep"], recording)
    assert len(answers) == len(detections(answers)), "nothing else"


def test_without_names_all_models_listen(shared: RunningWyoming, graphs: dict[str, Graph], recording: Audio) -> None:
    both = expected(graphs["beep"], recording) + expected(graphs["boop"], recording)
    answers = [shared.talk(stream(recording, names=None)), shared.talk(stream(recording, names=[]))]
    for answer in answers:
        assert sorted(detections(answer), key=str) == sorted(both, key=str)


def test_without_names_a_gate_does_not(
    serve: Callable[..., RunningWyoming], models: list[Path], tmp_path: Path
) -> None:
    gate = write_tiny_model(tmp_path / "beep_lite.onnx", tiny_card(name="beep_lite", kind="gate"))
    assert {name for name, _ in detections(serve(models=(gate, models[1])).talk(stream(tone(1.0))))} == {"boop"}
    assert {name for name, _ in detections(serve(models=(gate,)).talk(stream(tone(1.0))))} == {"beep_lite"}


def test_times_are_on_the_clients_clock(shared: RunningWyoming, graphs: dict[str, Graph], recording: Audio) -> None:
    began_ms = 1_790_000_000_000
    wanted = [(name, began_ms + at_ms) for name, at_ms in expected(graphs["beep"], recording)]
    found = detections(shared.talk(stream(recording, names=["beep"], at_ms=began_ms)))
    assert [name for name, _ in found] == [name for name, _ in wanted]
    # Time stamps of 64 ms are whole milliseconds.
    assert [at_ms for _, at_ms in found] == pytest.approx([at_ms for _, at_ms in wanted], abs=1)


@pytest.mark.parametrize("timestamp", ["soon", True, float("nan"), 1e300, {"a": 1}])
def test_times_that_make_no_sense_are_passed_over(shared: RunningWyoming, timestamp: Any) -> None:
    events = list(stream(tone(1.0), names=["beep"]))
    for event in events:
        event.data["timestamp"] = timestamp
    assert detections(shared.talk(events)) == [("beep", 320)]


FORMATS = [(16_000, 2, 2), (48_000, 2, 1), (44_100, 4, 2), (22_050, 3, 1), (8_000, 1, 6), (96_000, 2, 1)]


@pytest.mark.parametrize(("rate", "width", "channels"), FORMATS)
def test_any_format_is_taken(shared: RunningWyoming, rate: int, width: int, channels: int) -> None:
    """A tone from 1.0 to 2.0 s, at whatever rate: ``beep`` needs 0.24 s of it."""
    t = np.arange(3 * rate) / rate
    wave = np.where((t >= 1.0) & (t < 2.0), 0.25 * np.sin(2 * np.pi * 1_000 * t), 0.0)
    frames = np.repeat(np.rint(wave * (2 ** (8 * width - 1) - 1)).astype(np.int64)[:, None], channels, axis=1)
    if width == 1:
        frames += 128
    data = frames.astype("<i8").tobytes()
    raw = np.frombuffer(data, np.uint8).reshape(-1, 8)[:, :width].tobytes()
    form = {"rate": rate, "width": width, "channels": channels}
    size = rate // 20 * width * channels
    chunks = [AudioChunk(**form, audio=raw[at : at + size]).event() for at in range(0, len(raw), size)]
    answers = shared.talk([Detect(names=["beep"]).event(), AudioStart(**form).event(), *chunks, AudioStop().event()])
    ((name, at_ms),) = detections(answers)
    assert name == "beep"
    assert at_ms in (1_200, 1_280, 1_360)


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, bytes([0, 127, 128, 255])),
        (2, b"\x00\x80\xff\xff\x00\x00\xff\x7f"),
        (3, b"\x00\x00\x80\xff\xff\xff\x77\x00\x00\xff\xff\x7f"),
        (4, b"\x00\x00\x00\x80\xff\xff\xff\xff\x77\x77\x00\x00\xff\xff\xff\x7f"),
    ],
)
def test_samples_of_each_width(width: int, data: bytes) -> None:
    (samples,) = ToModels(AudioFormat(16_000, width, 1)).feed(data)
    assert samples.dtype == np.int16
    wanted = [-32_768, -256, 0, 32_512] if width == 1 else [-32_768, -1, 0, 32_767]
    assert samples.tolist() == wanted


def test_channels_are_averaged_and_pieces_are_short() -> None:
    stereo = np.array([[100, 300]] * 20_000, "<i2").tobytes()
    pieces = list(ToModels(AudioFormat(16_000, 2, 2)).feed(stereo))
    assert [len(piece) for piece in pieces] == [8_000, 8_000, 4_000]
    assert all((piece == 200).all() for piece in pieces)


def test_a_format_that_changes_on_the_way(shared: RunningWyoming) -> None:
    sound = np.concatenate([silence(1.0), tone(1.0, start_s=1.0)])
    half = len(sound) // 2
    mono = AudioChunk(rate=16_000, width=2, channels=1, audio=sound[:half].tobytes()).event()
    stereo = AudioChunk(rate=16_000, width=2, channels=2, audio=np.repeat(sound[half:], 2).tobytes()).event()
    assert detections(shared.talk([Detect(names=["beep"]).event(), mono, stereo])) == [("beep", 1_280)]


def test_what_was_not_heard_is_told_at_the_end(shared: RunningWyoming) -> None:
    context = {"conversation": [1, 2, None]}
    events = list(stream(silence(1.0)))
    events[0] = Detect(context=context).event()
    (answer,) = shared.talk(events)
    assert NotDetected.is_type(answer.type)
    assert NotDetected.from_event(answer).context == context


def test_the_context_comes_back_with_a_detection(shared: RunningWyoming) -> None:
    events = [Detect(names=["beep"], context={"a": 1}).event(), *list(stream(tone(1.0)))[1:]]
    (answer,) = shared.talk(events)
    assert Detection.from_event(answer).context == {"a": 1}


def test_streams_of_one_connection_begin_anew(shared: RunningWyoming) -> None:
    once = list(stream(tone(1.0), names=["beep"]))
    without_stop = once[:-1]
    without_start = [event for event in once if not AudioStart.is_type(event.type)]
    nothing = list(stream(silence(0.5), names=["beep"]))
    answers = shared.talk([*once, *nothing, *without_stop, *nothing, *without_start, AudioStop().event()])
    assert [answer.type for answer in answers] == [
        "detection",
        "not-detected",
        "detection",
        "not-detected",
        "detection",
    ]
    assert {at_ms for _, at_ms in detections(answers)} == {320}


def test_a_satellite_that_never_stops_can_choose_anew(shared: RunningWyoming) -> None:
    """It sends audio all the time, without a start or a stop, and says what it wants when it wants it."""
    chunks = [event for event in stream(tone(1.0)) if AudioChunk.is_type(event.type)]
    events = [*chunks[:2], Detect(names=["boop"]).event(), *chunks, Detect(names=["beep"]).event(), *chunks]
    assert detections(shared.talk(events)) == [("boop", 160), ("beep", 320)]


def test_what_is_for_other_services_is_passed_over(shared: RunningWyoming) -> None:
    others = [Event(type="run-pipeline", data={"a": 1}, payload=b"xyz"), Event(type="transcribe"), AudioStop().event()]
    (answer,) = shared.talk([*others, Ping(text="hello").event()])
    assert Pong.from_event(answer).text == "hello"


WRONG = {
    "a model that is not here": (Detect(names=["nobody"]).event(), "NOT_FOUND", "no such model"),
    "no names": (Event(type="detect", data={"names": "beep"}), "INVALID_ARGUMENT", "bad names"),
    "many names": (Detect(names=["a"] * 65).event(), "INVALID_ARGUMENT", "bad names"),
    "names of things": (Event(type="detect", data={"names": [{}]}), "INVALID_ARGUMENT", "bad names"),
    "rate": (AudioStart(rate=7, width=2, channels=1).event(), "INVALID_ARGUMENT", "bad sample rate"),
    "rate as text": (AudioStart(rate="16000", width=2, channels=1).event(), "INVALID_ARGUMENT", "bad sample rate"),  # type: ignore[arg-type]
    "width": (AudioStart(rate=16_000, width=8, channels=1).event(), "INVALID_ARGUMENT", "bad width"),
    "width of zero": (AudioStart(rate=16_000, width=0, channels=1).event(), "INVALID_ARGUMENT", "bad width"),
    "channels": (AudioStart(rate=16_000, width=2, channels=10**9).event(), "INVALID_ARGUMENT", "bad channels"),
    "no format": (Event(type="audio-chunk", payload=b"ab"), "INVALID_ARGUMENT", "bad sample rate; got None"),
    "half a frame": (
        AudioChunk(rate=16_000, width=2, channels=2, audio=b"abcdef").event(),
        "INVALID_ARGUMENT",
        "a part of a frame",
    ),
    "a surrogate": (Ping(text="\ud800").event(), "INVALID_ARGUMENT", "cannot be repeated"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_and_ends_the_connection(
    shared: RunningWyoming, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    event, code, text = WRONG[name]
    with shared.connect() as connection:
        connection.sendall(wire(event) + wire(next(iter(list(stream(silence(0.1)))[1:]))))
        answers = read_all(connection)
    assert error(answers).code == code
    assert text in error(answers).text
    assert not caplog.records, "a stranger fills no log"


def wire(event: Event) -> bytes:
    """An event as bytes, whatever is in it."""
    data = json.dumps(event.data).encode()
    head = {"type": event.type, "data_length": len(data), "payload_length": len(event.payload or b"")}
    return json.dumps(head).encode() + b"\n" + data + (event.payload or b"")


def read_all(connection: socket.socket) -> list[Event]:
    """What comes until the other side closes."""
    with connection.makefile("rb") as file:
        answers = []
        while line := file.readline():
            head = json.loads(line)
            answers.append(Event(head["type"], json.loads(file.read(head.get("data_length", 0)) or b"{}")))
        return answers


def greet(connection: socket.socket) -> None:
    """Be answered, and leave nothing unread."""
    connection.sendall(wire(Ping().event()))
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(1)
    assert connection.recv(json.loads(line)["data_length"], socket.MSG_WAITALL)


MALFORMED = {
    "no JSON": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    "an empty line": b"\n",
    "a list": b"[]\n",
    "a number": b"1\n",
    "no type": b"{}\n",
    "type": b'{"type": 1}\n',
    "data": b'{"type": "ping", "data": [1]}\n',
    "nested": b"[" * 20_000 + b"\n",
    "nested data": b'{"type": "ping", "data_length": 20000}\n' + b"[" * 20_000,
    "data that are no object": b'{"type": "ping", "data_length": 2}\n[]',
    "too long a line": b"x" * 200_000,
    "huge data": b'{"type": "ping", "data_length": 1000000000000}\n',
    "huge payload": b'{"type": "audio-chunk", "payload_length": 300000}\n',
    "negative": b'{"type": "audio-chunk", "payload_length": -1}\n',
    "fraction": b'{"type": "audio-chunk", "payload_length": 1.5}\n',
    "truth": b'{"type": "audio-chunk", "payload_length": true}\n',
    "infinity": b'{"type": "audio-chunk", "payload_length": Infinity}\n',
    "not UTF-8": b'{"type": "\xff\xfe"}\n',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_events(shared: RunningWyoming, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with shared.connect() as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(MALFORMED[name])
        answers = read_all(connection)
        assert error(answers).code == "INVALID_ARGUMENT"
        assert len(answers) == 1
    assert detections(shared.talk(stream(tone(0.5), names=["beep"]))) == [("beep", 320)]
    assert not caplog.records


@pytest.mark.parametrize("cut", [1, 20, 60, 2_000])
def test_half_an_event_and_gone(shared: RunningWyoming, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    with shared.connect() as connection:
        connection.sendall(b"".join(map(wire, stream(tone(0.3))))[:cut])
    assert shared.talk([]) == []
    assert not caplog.records


def test_a_client_that_resets_in_a_stream(shared: RunningWyoming, caplog: pytest.LogCaptureFixture) -> None:
    connection = shared.connect()
    connection.sendall(b"".join(map(wire, list(stream(tone(0.3)))[:-1])))
    wait_for(lambda: shared.engine.open_streams == 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
    wait_for(lambda: shared.engine.open_streams == 0)
    assert not caplog.records


def test_idle_connections_are_ended(serve: Callable[..., RunningWyoming]) -> None:
    """One says nothing, one has a stream open, one sends its event byte by byte, one reads no answers."""
    server = serve(idle_timeout_s=0.6)
    began = time.monotonic()
    with server.connect() as mute, server.connect() as opened, server.connect() as slow, server.connect() as deaf:
        opened.sendall(b"".join(map(wire, list(stream(silence(0.2)))[:-1])))
        threading.Thread(target=drip, args=(slow,), daemon=True).start()
        threading.Thread(target=flood, args=(deaf,), daemon=True).start()
        for connection in (mute, opened, slow):
            with contextlib.suppress(ConnectionResetError):
                assert error(read_all(connection)).code == "DEADLINE_EXCEEDED"
        wait_for(lambda: not server.wyoming._connections)
    assert time.monotonic() - began < TIMEOUT_S
    assert server.metrics.registry.get_sample_value("nanowakeword_refusals_total", {"reason": "idle"}) == 4
    assert server.engine.open_streams == server.guard.open_streams == 0


def drip(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for number in range(100):
            connection.sendall(b'{"type": "ping"}'[number : number + 1] or b" ")
            time.sleep(0.1)


def flood(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(wire(Ping(text="x" * 10_000).event()))


def test_a_flood_does_not_hold_up_others(serve: Callable[..., RunningWyoming]) -> None:
    server = serve()
    with server.connect() as first, server.connect() as second:
        for connection in (first, second):
            threading.Thread(target=flood, args=(connection,), daemon=True).start()
        assert detections(server.talk(stream(tone(0.5), names=["beep"]))) == [("beep", 320)]
        # Nobody reads the answers: so much lies in buffers, and no more.
        for connection in (first, second):
            connection.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not server.wyoming._connections)


def test_inference_does_not_hold_up_the_loop(
    serve: Callable[..., RunningWyoming], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(threads=1)
    release = threading.Event()
    run = Graph.run

    def stuck(self: Graph, *args: Any) -> Any:
        release.wait(TIMEOUT_S)
        return run(self, *args)

    monkeypatch.setattr(Graph, "run", stuck)
    with server.connect() as busy:
        busy.sendall(b"".join(map(wire, stream(tone(0.5), names=["beep"]))))
        busy.shutdown(socket.SHUT_WR)
        wait_for(lambda: server.engine.open_streams == 1)
        assert len(server.talk([Describe().event()])) == 1
        release.set()
        assert detections(read_all(busy)) == [("beep", 320)]


def test_one_address_has_so_many_connections(
    serve: Callable[..., RunningWyoming], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_OF_ONE_ADDRESS", 2)
    server = serve()
    with server.connect() as first, server.connect() as second:
        for connection in (first, second):
            greet(connection)
        with server.connect() as third:
            assert read_all(third) == []
    wait_for(lambda: server.wyoming._addresses.total() == 0)
    assert server.talk([]) == []


def test_limits_of_the_server_hold(serve: Callable[..., RunningWyoming]) -> None:
    server = serve(max_connections=1)
    with server.connect() as first, server.connect() as second:
        first.sendall(b"".join(map(wire, list(stream(silence(0.2)))[:-1])))
        wait_for(lambda: server.guard.open_streams == 1)
        second.sendall(b"".join(map(wire, stream(silence(0.2)))))
        assert error(read_all(second)).code == "RESOURCE_EXHAUSTED"
    assert server.metrics.registry.get_sample_value("nanowakeword_refusals_total", {"reason": "overload"}) == 1


def test_limits_of_a_client_hold(serve: Callable[..., RunningWyoming]) -> None:
    server = serve(rate_limit_audio_s=3.0, rate_window=60.0)
    answers = server.talk(stream(silence(8.0)))
    assert "too much audio" in error(answers).text


def test_the_allowlist_holds(serve: Callable[..., RunningWyoming]) -> None:
    server = serve(ip_allowlist=("192.0.2.0/24",))
    with server.connect() as connection:
        assert error(read_all(connection)).code == "PERMISSION_DENIED"


@pytest.mark.parametrize("names", [None, ["beep"]])
def test_heads_alone_take_no_audio(
    serve: Callable[..., RunningWyoming], models: list[Path], names: list[str] | None
) -> None:
    server = serve(models=(models[0],), pipeline="verifier_only")
    info, *others = server.talk([Describe().event(), *stream(silence(0.2), names=names)])
    assert Info.from_event(info).wake[0].models == []
    assert "only the heads" in error(others).text


def test_a_server_that_stops_lets_streams_finish(serve: Callable[..., RunningWyoming]) -> None:
    server = serve()
    events = [wire(event) for event in stream(tone(0.5), names=["beep"])]
    with server.connect() as mute, server.connect() as busy:
        greet(mute)
        busy.sendall(b"".join(events[:3]))
        wait_for(lambda: server.engine.open_streams == 1)
        stopped = server.stop_wyoming(drain_s=8.0)
        assert error(read_all(mute)).code == "UNAVAILABLE"
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        busy.sendall(b"".join(events[3:]))
        assert detections(read_all(busy)) == [("beep", 320)]
        stopped.result(TIMEOUT_S)


def test_a_server_that_stops_ends_streams_that_do_not(serve: Callable[..., RunningWyoming]) -> None:
    server = serve()
    with server.connect() as busy:
        busy.sendall(b"".join(wire(event) for event in list(stream(silence(0.5)))[:-1]))
        wait_for(lambda: server.engine.open_streams == 1)
        began = time.monotonic()
        stopped = server.stop_wyoming(drain_s=0.3)
        assert "the server is stopping" in error(read_all(busy)).text
        stopped.result(TIMEOUT_S)
        assert 0.3 <= time.monotonic() - began < 5.0


def test_a_taken_port_is_told(shared: RunningWyoming, serve: Callable[..., RunningWyoming]) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {shared.uri}"):
        serve(wyoming=shared.uri)


def test_a_process_that_speaks_both(models: list[Path]) -> None:
    arguments = ["--model", models[0], "--port", 0, "--wyoming", "tcp://127.0.0.1:0", "--metrics", "127.0.0.1:0"]
    command = [sys.executable, "-W", "error", "-W", "ignore:'audioop' is deprecated", "-m", "serving"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = re.fullmatch(r"listening on .*: beep \(fires at 0\.75\); Wyoming on tcp://127\.0\.0\.1:(\d+)\n", line)
        assert ready, line
        with socket.create_connection(("127.0.0.1", int(ready[1])), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"".join(map(wire, stream(tone(0.5)))))
            connection.shutdown(socket.SHUT_WR)
            assert detections(read_all(connection)) == [("beep", 320)]
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, output, errors) == (0, "", "")
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


@pytest.mark.parametrize("trouble", ["port", "name"])
def test_a_process_that_cannot_says_so_in_one_line(shared: RunningWyoming, models: list[Path], trouble: str) -> None:
    more = [shared.uri] if trouble == "port" else ["tcp://127.0.0.1:0", "--zeroconf", "x" * 70]
    command = [sys.executable, "-m", "serving", "--model", str(models[0]), "--port", "0", "--wyoming", *more]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("error: cannot ")


def test_a_client_that_still_sends_can_read_why_it_has_to_go(shared: RunningWyoming) -> None:
    """Whoever closes on unread audio resets the connection, and the error is lost with it."""
    with shared.connect() as connection:
        connection.sendall(wire(AudioStart(rate=7, width=2, channels=1).event()))
        assert connection.recv(10, socket.MSG_PEEK)
        for _ in range(5):
            connection.sendall(bytes(10_000))
            time.sleep(0.02)
        assert error(read_all(connection)).code == "INVALID_ARGUMENT"
