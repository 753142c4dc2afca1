"""Clients that mean harm, on the wire: a real server outlives them, and serves others meanwhile.

Each limit of the transport is reached here once; what the settings of gRPC are called says little about what they do.
"""

from __future__ import annotations

import gzip
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving import transport
from serving.key_ring import ApiKey
from serving.transport import Patience
from tests.certificates import Authority
from tests.serving.callers import Stream, Wire, ask, ask_over, key, stub
from tests.serving.running import LoopThread, RunningServer, wait_for

Start = Callable[..., RunningServer]
KEY = "kitchen-" + "k" * 32
OK = ("OK", "")
DETECT = "/nanowakeword.v1.WakeWordService/Detect"
SHORT = Patience(handshake_s=0.5, first_message_s=0.5, idle_s=0.5, ping_every_s=0.5, ping_s=0.5)
END_HEADERS, END_STREAM = 0x4, 0x1
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
MAX_CONCURRENT_STREAMS = 3


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def closed(loop: LoopThread, models: list[Path]) -> Iterator[RunningServer]:
    """A server with keys that all tests attack, one after the other: it has to survive them all."""
    settings: dict[str, Any] = {"models": tuple(models), "api_keys": (ApiKey.of(KEY, name="kitchen"),)}
    with RunningServer(loop, patience=SHORT, ban_duration=0, **settings) as running:
        yield running
        assert is_served(running)
        assert running.guard.open_streams == 0


@pytest.fixture(scope="module")
def secure(loop: LoopThread, models: list[Path], authority: Authority) -> Iterator[RunningServer]:
    """The same over TLS."""
    pair = authority.issue("server")
    settings: dict[str, Any] = {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key, "models": tuple(models)}
    with RunningServer(loop, patience=SHORT, **settings) as running:
        yield running
        credentials = grpc.ssl_channel_credentials(authority.path.read_bytes())
        assert is_served(running, credentials=credentials)


@pytest.fixture(params=["closed", "secure"])
def either(request: pytest.FixtureRequest) -> RunningServer:
    server: RunningServer = request.getfixturevalue(request.param)
    return server


def is_served(server: RunningServer, *, credentials: Any = None) -> bool:
    """Whether an honest client is. It may need a second try: on a busy machine it is not always quick enough itself."""
    wait_for(lambda: ask(server.address, key(KEY), credentials=credentials) == OK)
    return True


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def detect(*, stream: int = 1, encoding: str = "identity") -> bytes:
    """The frame that begins a call of `Detect`."""
    return Wire.frame(
        HEADERS, Wire.headers(DETECT, **{"x-api-key": KEY, "grpc-encoding": encoding}), flags=END_HEADERS, stream=stream
    )


# Connections that never get to the point.


def test_a_connection_that_says_nothing(either: RunningServer) -> None:
    with Wire(either.address) as wire:
        assert 0.3 < wire.closed_after() < 5.0


def test_a_connection_that_says_one_byte_at_a_time(either: RunningServer) -> None:
    with Wire(either.address) as wire:
        wire.send(b"\x16\x03\x01\x02\x00" if "ssl" in repr(either.config.ssl_certfile) else Wire.PREFACE[:3])
        assert wire.closed_after(drip=b"\x00") < 5.0


def test_a_handshake_one_byte_at_a_time(closed: RunningServer) -> None:
    """Right, and so slow that it would take for ever."""
    with Wire(closed.address) as wire:
        for byte in Wire.PREFACE:
            try:
                wire.send(bytes([byte])).socket.settimeout(0.05)
                if not wire.socket.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            wire.closed_after(limit_s=5.0)


def test_half_a_handshake(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        assert wire.send(Wire.PREFACE).closed_after() < 5.0
    with Wire(closed.address) as wire:
        assert wire.send(Wire.PREFACE + Wire.frame(SETTINGS)).closed_after() < 5.0, "ours are never acknowledged"


def test_a_connection_without_a_call(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        assert wire.greet().closed_after() < 5.0
    with Wire(closed.address) as wire:
        assert wire.greet().closed_after(drip=Wire.frame(SETTINGS)) < 5.0, "busy with nothing"


def test_headers_without_an_end(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        wire.greet().send(Wire.frame(HEADERS, b"\x82", stream=1))
        assert wire.closed_after(drip=Wire.frame(CONTINUATION, b"", stream=1)) < 5.0


def test_a_peer_that_is_gone(start: Start) -> None:
    """It had a stream open when its network was cut: it answers no ping."""
    server = start(patience=SHORT)
    with Wire(server.address) as wire:
        wire.greet().send(detect())
        wait_for(lambda: server.open_streams == 1)
        assert wire.closed_after() < 5.0
        assert (PING, 0) in [(kind, flags) for kind, flags, _ in wire.frames()]
    wait_for(lambda: server.open_streams == 0)


def test_a_call_that_never_sends_its_message(closed: RunningServer) -> None:
    path = "/nanowakeword.v1.WakeWordService/GetServerInfo"
    with Wire(closed.address) as wire:
        headers = Wire.headers(path, **{"x-api-key": KEY})
        wire.greet().send(Wire.frame(HEADERS, headers, flags=END_HEADERS, stream=1))
        wire.send(Wire.frame(DATA, struct.pack(">BI", 0, 1_000) + b"half", stream=1))
        wire.closed_after()  # idle, after the call has ended
        assert b"no message came" in wire.heard
    with Wire(closed.address) as wire:
        wire.greet().send(Wire.frame(HEADERS, Wire.headers(path), flags=END_HEADERS, stream=1))
        wire.closed_after()
        assert b"credentials are missing" in wire.heard, "strangers do not even get that time"


# Too much of something.


def test_a_thousand_connections_that_come_and_go(closed: RunningServer) -> None:
    before = open_files()
    for number in range(1_000):
        with Wire(closed.address) as wire:
            if number % 4 == 1:
                wire.send(Wire.PREFACE)
            elif number % 4 == 2:
                wire.greet()
            elif number % 4 == 3:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 250 == 0:
            assert is_served(closed)
    wait_for(lambda: open_files() <= before + 2)


def test_hundreds_of_connections_that_stay_silent(closed: RunningServer) -> None:
    before = open_files()
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(Wire(closed.address))
        assert is_served(closed), "others are served meanwhile"
        wait_for(lambda: open_files() <= before + 300 + 2)
    wait_for(lambda: open_files() <= before + 2)


def test_more_connections_than_files(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_max_connections", lambda: 4)
    server = start(patience=SHORT)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.address)) for _ in range(4)]
        late = stack.enter_context(Wire(server.address))
        assert late.closed_after() < 0.4, "at once, while the others have their time"
        for wire in wires:
            wire.closed_after()
    assert is_served(server)


def test_no_connection_carries_any_number_of_calls(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        wire.greet().closed_after()
        kind, _, payload = wire.frames()[0]
        assert kind == SETTINGS
        settings = dict(struct.iter_unpack(">HI", payload))
        assert settings[MAX_CONCURRENT_STREAMS] == 256


def test_calls_that_are_opened_and_reset_at_once(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        wire.greet()
        reset = struct.pack(">I", 8)
        for number in range(1, 4_001, 2):
            try:
                wire.send(detect(stream=number) + Wire.frame(RESET, reset, stream=number))
            except OSError:
                break  # sent away, which is as good
        assert is_served(closed)
    wait_for(lambda: closed.open_streams == 0)


@pytest.mark.parametrize("entries", [[("x-api-key", "k" * 9_000)], [(f"a{number}", "b" * 50) for number in range(200)]])
def test_giant_metadata(server: RunningServer, entries: list[tuple[str, str]]) -> None:
    with stub(server.address) as service:
        told = [ask_over(service, entries)[0] for _ in range(10)]
        assert told == ["RESOURCE_EXHAUSTED"] * 10, "all of them, and not some by chance"
        assert ask_over(service) == OK


def test_headers_that_go_on_for_ever(closed: RunningServer) -> None:
    """Each frame of them is small."""
    with Wire(closed.address) as wire:
        wire.greet().send(Wire.frame(HEADERS, Wire.headers(DETECT), stream=1))
        more = b"\x00\x01a\x7e" + b"b" * 126
        for _ in range(2_000):
            try:
                wire.send(Wire.frame(CONTINUATION, more * 10, stream=1))
            except OSError:
                break
        wire.closed_after()
        assert closed.open_streams == 0


def test_a_message_that_grows_when_it_is_unpacked(closed: RunningServer) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    message = struct.pack(">BI", 1, len(bomb)) + bomb
    with Wire(closed.address) as wire:
        wire.greet().send(detect(encoding="gzip"))
        for start in range(0, len(message), 16_384):
            piece = message[start : start + 16_384]
            flags = END_STREAM if start + 16_384 >= len(message) else 0
            wire.send(Wire.frame(DATA, piece, flags=flags, stream=1))
        wire.closed_after()
        assert b"Decompressed message larger than max" in wire.heard


def test_a_flood_of_pings(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        wire.greet().send(detect() + Wire.frame(PING, b"12345678") * 50)
        wire.closed_after()
        assert b"too_many_pings" in b"".join(payload for kind, _, payload in wire.frames() if kind == GOAWAY)


def test_a_ping_now_and_then_is_allowed(start: Start) -> None:
    """As clients send that keep a way through a router open."""
    server = start(patience=Patience(ping_every_s=0.3))
    with Wire(server.address) as wire:
        wire.greet().send(detect())
        wait_for(lambda: server.open_streams == 1)
        for _ in range(8):
            time.sleep(0.2)
            wire.send(Wire.frame(PING, b"12345678"))
        assert server.open_streams == 1


# Rubbish.


def test_random_bytes(either: RunningServer) -> None:
    generator = random.Random(7)  # noqa: S311
    for number in range(60):
        data = generator.randbytes(generator.choice((1, 9, 100, 5_000)))
        with Wire(either.address) as wire:
            try:
                wire.send((Wire.PREFACE if number % 2 else b"") + data)
                wire.socket.settimeout(0.01)
                wire.socket.recv(100)
            except OSError:
                continue


def test_random_frames(closed: RunningServer) -> None:
    generator = random.Random(8)  # noqa: S311
    for _ in range(60):
        frames = b"".join(
            Wire.frame(
                generator.randrange(12),
                generator.randbytes(generator.randrange(64)),
                flags=generator.randrange(256),
                stream=generator.choice((0, 1, 1, 2, 3, 2**31 - 1)),
            )
            for _ in range(10)
        )
        with Wire(closed.address) as wire:
            try:
                wire.greet().send(detect() + frames)
            except OSError:
                continue
    assert is_served(closed)
    wait_for(lambda: closed.open_streams == 0)


@pytest.mark.parametrize("value", [b"\xff\xfe", "ключ".encode(), b"a\nb", b"a\x00b"])
@pytest.mark.parametrize("name", [b"x-api-key", b"authorization", b"x-forwarded-for"])
def test_credentials_that_are_no_text(closed: RunningServer, name: bytes, value: bytes) -> None:
    field = b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    with Wire(closed.address) as wire:
        headers = Wire.headers("/nanowakeword.v1.WakeWordService/ListModels")
        wire.greet().send(Wire.frame(HEADERS, headers + field, flags=END_HEADERS | END_STREAM, stream=1))
        wire.closed_after()
        assert b"credentials are missing" in wire.heard


def test_http_1(closed: RunningServer) -> None:
    with Wire(closed.address) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").closed_after()
        assert b"nanowakeword" not in wire.heard.lower()


def test_methods_that_are_not_there(closed: RunningServer) -> None:
    with grpc.insecure_channel(closed.address) as channel:
        for path in ("/", "//", "/nanowakeword.v1.WakeWordService/Nothing", "/grpc.channelz.v1.Channelz/GetServers"):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"", timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_streams_beside_an_attack_do_not_notice(closed: RunningServer) -> None:
    with Stream(closed.address, key(KEY)) as stream:
        assert stream.opened()
        for _ in range(20):
            with Wire(closed.address) as wire:
                wire.send(os.urandom(200))
            stream.send_audio(0.08)
        assert closed.open_streams == 1
    wait_for(lambda: closed.open_streams == 0)
