"""NanoWakeword's own server beside ours: its package from PyPI, pinned to a core, and a client of its protocol.

It runs as its users run it: `nanowakeword --model M.onnx --pipeline full`, audio over a WebSocket. Its package fetches
two graphs from a web site, the mel spectrogram and Google's embedding; the same files lie in the wheel of openwakeword,
as does the head that it serves here, for the word alexa, on the same 16 embeddings. Its ONNX sessions
have two threads each, as shipped; on the one core they wait for each other.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.peers import graphs_of_openwakeword, make_environment
from benchmarks.served import HOST, Served, run_pinned

__all__ = ["NAME", "open_peer", "peer_chunks", "serve_peer"]

NAME: Final = "NanoWakeword 2.1.3"
_PINS: Final = Path(__file__).with_name("peer_server.txt")
_START_S: Final = 60.0
_AUDIO: Final = 3  # its tag of a message of audio
_BINARY: Final = 0x82
_MASKED: Final = 0x80


@contextlib.contextmanager
def serve_peer() -> Iterator[Served]:
    """Run it, as `benchmarks.served.serve_models` runs ours.

    Raises:
        OSError: it cannot be installed or does not start.
    """
    python = make_environment(_PINS)
    graphs = graphs_of_openwakeword()
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    models = packages / "nanowakeword/interpreter/models"
    if not models.is_dir():
        raise FileNotFoundError(f"{NAME} could not be installed: see above")
    for folder, name in (("mel_spectrogram", "melspectrogram.onnx"), ("embedding", "embedding_model.onnx")):
        (models / folder).mkdir(exist_ok=True)
        shutil.copyfile(graphs / name, models / folder / name)
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    # Isolated, or a PYTHONPATH that leads to ours would have it import the wrong package of its name.
    command = [
        str(python),
        "-I",
        "-m",
        "nanowakeword.cli",
        "--model",
        str(graphs / "alexa_v0.1.onnx"),
        "--pipeline",
        "full",
    ]
    command += ["--host", HOST, "--port", str(port), "--log", "ERROR"]
    with run_pinned(command, folder=graphs, quiet=True) as process:
        give_up_s = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection((HOST, port), timeout=1.0).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > give_up_s:
                    raise ConnectionError(f"{NAME} does not start") from None
            time.sleep(0.1)
        yield Served(process, port)


def peer_chunks(hops: np.ndarray) -> list[bytes]:
    """Messages of audio, of int16 ``[n, samples]``."""
    return [struct.pack("<Bi", _AUDIO, len(hop)) + hop.astype("<i2").tobytes() for hop in hops]


class _Line(asyncio.Protocol):
    """A WebSocket (RFC 6455) that knows just enough to load a server; trusts it."""

    def __init__(self) -> None:
        self.on_message: Callable[[bytes], object] = lambda _: None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""

    def send(self, message: bytes) -> None:
        """Send a message of 126 to 65,535 bytes."""
        # Clients must mask what they send. With a mask of zeros the bytes stay as they are.
        self._transport.write(struct.pack(">BBHI", _BINARY, _MASKED | 126, len(message), 0) + message)

    def close(self) -> None:
        """Drop the connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(b"a benchmark here").decode()
        lines = ["GET / HTTP/1.1", f"Host: {HOST}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        """Take frames, all of them short and whole messages."""
        self._received += data
        if not self.opened.done():
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " in head.partition(b"\r\n")[0]:
                self.opened.set_result(None)
            else:
                self.opened.set_exception(ConnectionError(f"{NAME} refuses a WebSocket"))
            self._received = rest
        while len(self._received) >= 2 and len(self._received) >= (end_at := 2 + self._received[1]):
            message, self._received = self._received[2:end_at], self._received[end_at:]
            self.on_message(message)


async def open_peer(port: int) -> _Line:
    """A connection to it that is ready for audio."""
    _, line = await asyncio.get_running_loop().create_connection(_Line, HOST, port)
    await line.opened
    return line
