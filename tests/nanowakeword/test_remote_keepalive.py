"""A network that drops everything without a word is noticed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from nanowakeword.errors import RemoteError
from nanowakeword.remote import RemoteStream
from tests.nanowakeword.remote_peers import ServerProcess
from tests.tiny_model import write_tiny_model

NOTHING = np.zeros(0, np.int16)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(write_tiny_model(tmp_path_factory.mktemp("models") / "beep.onnx")) as server:
        yield server.address


@contextmanager
def relay(address: str) -> Iterator[tuple[str, threading.Event]]:
    """A way to a server that carries nothing any more once the event is set, and does not say so."""
    host, _, port = address.rpartition(":")
    silent, over = threading.Event(), threading.Event()
    sockets: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # either end may reset it
            while data := source.recv(65_536):
                if silent.is_set():
                    over.wait()
                    return
                target.sendall(data)

    def accept() -> None:
        near, _ = listener.accept()
        far = socket.create_connection((host, int(port)))
        sockets.extend((near, far))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", silent
        finally:
            over.set()
            for one in sockets:
                one.shutdown(socket.SHUT_RDWR)
                one.close()


def lasts(stream: RemoteStream, seconds: float) -> bool:
    """Whether a stream that sends nothing is still there after so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stream.feed(NOTHING)
        time.sleep(0.02)
    return True


def test_a_silent_network_is_noticed_by_who_only_waits(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanowakeword.remote_server._PING_EVERY_S", 0.5)
    monkeypatch.setattr("nanowakeword.remote_server._PING_S", 0.5)
    with relay(address) as (through, silent), RemoteStream(through) as stream:
        silent.set()
        with pytest.raises(RemoteError, match=r"was lost; got UNAVAILABLE.*ping timeout"):
            lasts(stream, 30.0)
