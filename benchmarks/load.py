"""Many gRPC streams from one core: a client that knows just enough HTTP/2 (RFC 9113) to load a server.

gRPC's own client takes as much processor time per message as the server that is to be measured. This one frames
messages itself and takes about a quarter. It is for loopback, without TLS, and trusts the server.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Connection", "LoadStream", "connect"]

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_INITIAL_WINDOW: Final = 4
_LARGEST_WINDOW: Final = 2**31 - 1
_FIRST_WINDOW: Final = 65_535


class LoadStream:
    """One call: messages out, messages in.

    Attributes:
        on_message: called with each message that comes.
        ended: done when the server has ended the call.
    """

    def __init__(self, connection: Connection, number: int, window: int) -> None:
        self.on_message: Callable[[bytes], object] = lambda _: None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.window = window
        self._connection = connection
        self._number = number
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._received = b""

    def send(self, message: bytes) -> None:
        """Send a message, or as soon as the server's window lets it through."""
        self._put(struct.pack(">BI", 0, len(message)) + message, 0)

    def finish(self) -> None:
        """Nothing more will be sent."""
        self._put(b"", _END_STREAM)

    def close(self) -> None:
        """Drop the connection, with all its calls."""
        self._connection.close()

    def flush(self) -> None:
        """Send what waits, as far as the windows are open."""
        connection = self._connection
        while self._waiting and len(self._waiting[0][0]) <= min(self.window, connection.window):
            data, flags = self._waiting.popleft()
            self.window -= len(data)
            connection.window -= len(data)
            connection.write(_frame(_DATA, flags, self._number, data))

    def receive(self, data: bytes) -> None:
        """Take bytes of messages."""
        self._received += data
        while len(self._received) >= 5:
            end = 5 + int.from_bytes(self._received[1:5], "big")
            if len(self._received) < end:
                return
            message, self._received = self._received[5:end], self._received[end:]
            self.on_message(message)

    def end(self) -> None:
        """The server has ended the call."""
        if not self.ended.done():
            self.ended.set_result(None)

    def _put(self, data: bytes, flags: int) -> None:
        self._waiting.append((data, flags))
        self.flush()


class Connection(asyncio.Protocol):
    """One connection and its calls.

    Attributes:
        window: bytes that may be sent at the moment.
    """

    def __init__(self) -> None:
        self.window = _FIRST_WINDOW
        self._stream_window = _FIRST_WINDOW
        self._streams: dict[int, LoadStream] = {}
        self._next = 1
        self._received = bytearray()

    def call(self, path: str, *, authority: str) -> LoadStream:
        """Begin a call of a method, such as ``/package.Service/Method``."""
        number, self._next = self._next, self._next + 2
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        # HPACK (RFC 7541) as plain as it gets: each name and value in full, no table, no Huffman code.
        block = b"".join(
            b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in pair) for pair in headers.items()
        )
        stream = self._streams[number] = LoadStream(self, number, self._stream_window)
        self.write(_frame(_HEADERS, _END_HEADERS, number, block))
        return stream

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def close(self) -> None:
        """Drop the connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server, and let it send as much as it likes."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        settings = _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, _LARGEST_WINDOW))
        self.write(
            greeting + settings + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _FIRST_WINDOW))
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's name
        """End what is open."""
        for stream in self._streams.values():
            stream.end()

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        received = self._received
        received += data
        at = 0
        while len(received) - at >= 9:
            length = int.from_bytes(received[at : at + 3], "big")
            end = at + 9 + length
            if len(received) < end:
                break
            number = int.from_bytes(received[at + 5 : at + 9], "big")
            self._take(received[at + 3], received[at + 4], number, bytes(received[at + 9 : end]))
            at = end
        del received[:at]

    def _take(self, kind: int, flags: int, number: int, body: bytes) -> None:
        stream = self._streams.get(number)
        if kind == _DATA and stream is not None:
            stream.receive(body)
        elif kind == _WINDOW_UPDATE:
            self._open_window(stream, struct.unpack(">I", body)[0])
        elif kind == _SETTINGS and not flags & _ACK:
            self._settle(body)
        elif kind == _PING and not flags & _ACK:
            self.write(_frame(_PING, _ACK, 0, body))
        elif kind == _GO_AWAY:
            self.close()
        if stream is not None and (kind == _RESET or (kind in (_DATA, _HEADERS) and flags & _END_STREAM)):
            stream.end()
            del self._streams[number]

    def _open_window(self, stream: LoadStream | None, more: int) -> None:
        if stream is not None:
            stream.window += more
            stream.flush()
            return
        self.window += more
        for other in self._streams.values():
            other.flush()

    def _settle(self, body: bytes) -> None:
        for at in range(0, len(body), 6):
            name, value = struct.unpack(">HI", body[at : at + 6])
            if name == _INITIAL_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
        self.write(_frame(_SETTINGS, _ACK, 0, b""))


async def connect(host: str, port: int) -> Connection:
    """Connect to a server."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection


def _frame(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, number) + body
