"""Callers of all kinds: with keys, tokens and certificates, or with a bare socket."""

from __future__ import annotations

import queue
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import grpc

from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceStub
from tests.serving.running import TIMEOUT_S

Metadata = tuple[tuple[str, str], ...]


def key(secret: str) -> Metadata:
    """Metadata that shows an API key."""
    return (("x-api-key", secret),)


def bearer(token: str) -> Metadata:
    """Metadata that shows a token."""
    return (("authorization", f"Bearer {token}"),)


@contextmanager
def stub(address: str, *, credentials: Any = None) -> Iterator[Any]:
    """The service, on a connection of its own; with ``credentials`` over TLS."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    make = grpc.insecure_channel(address, options=options)
    if credentials is not None:
        make.close()
        make = grpc.secure_channel(address, credentials, options=options)
    with make as channel:
        yield WakeWordServiceStub(channel)  # type: ignore[no-untyped-call]


def ask(address: str, metadata: Any = (), *, credentials: Any = None) -> tuple[str, str]:
    """Status and text of a call."""
    with stub(address, credentials=credentials) as service:
        return ask_over(service, metadata)


def ask_over(service: Any, metadata: Any = ()) -> tuple[str, str]:
    """Status and text of a call over a connection that is there."""
    try:
        service.GetServerInfo(pb.GetServerInfoRequest(), metadata=metadata, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


class Stream:
    """An open stream of `Detect`, whose messages the test sends; over a connection of its own."""

    def __init__(self, address: str, metadata: Any = (), *, credentials: Any = None) -> None:
        self._stub = stub(address, credentials=credentials)
        self._requests: queue.Queue[pb.DetectRequest | None] = queue.Queue()
        self._call = self._stub.__enter__().Detect(iter(self._requests.get, None), metadata=metadata, timeout=60.0)
        self.send(pb.DetectRequest(config=pb.DetectConfig()))

    def send(self, request: pb.DetectRequest) -> None:
        self._requests.put(request)

    def send_audio(self, seconds: float) -> None:
        self.send(pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=bytes(round(seconds * 16_000) * 2))))

    def opened(self) -> bool:
        """Wait for the first answer; False where the stream was refused."""
        try:
            return bool(next(self._call).opened.models)
        except grpc.RpcError:
            return False

    def end(self) -> tuple[str, str]:
        """Wait until the server ends the stream; status and text."""
        try:
            for _ in self._call:
                pass
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._requests.put(None)
        self._call.cancel()
        self._stub.__exit__(None, None, None)


class Wire:
    """A bare connection that speaks as much HTTP/2 as a test wants it to."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self.heard = b""

    @staticmethod
    def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
        """One frame: 0 DATA, 1 HEADERS, 3 RST_STREAM, 4 SETTINGS, 6 PING, 7 GOAWAY, 9 CONTINUATION."""
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    @staticmethod
    def headers(path: str, **more: str) -> bytes:
        """A block of headers, no name or value of it compressed, each up to 126 bytes."""
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "te": "trailers",
            "content-type": "application/grpc",
            **more,
        }
        return b"".join(
            b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in fields.items()
        )

    def greet(self) -> Self:
        """Shake hands, as far as a client can alone."""
        return self.send(self.PREFACE + self.frame(4) + self.frame(4, flags=1))

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def closed_after(self, *, drip: bytes = b"", limit_s: float = TIMEOUT_S) -> float:
        """Seconds until the server hangs up, while ``drip`` is sent ten times a second."""
        start = time.monotonic()
        self.socket.settimeout(0.1)
        while time.monotonic() < start + limit_s:
            try:
                data = self.socket.recv(65_536)
                if not data:
                    return time.monotonic() - start
                self.heard += data
            except TimeoutError:
                pass
            except OSError:
                return time.monotonic() - start
            try:
                self.socket.sendall(drip)
            except OSError:
                return time.monotonic() - start
        raise AssertionError(f"still open after {limit_s} s")

    def frames(self) -> list[tuple[int, int, bytes]]:
        """What was heard: kind, flags and payload of each frame."""
        found, data = [], self.heard
        while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
            found.append((data[3], data[4], data[9 : 9 + size]))
            data = data[9 + size :]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
