"""A crew of workers that serve something small: ``python -m tests.serving.crew_program WORK``.

Each worker answers a connection with its process id.
"""

from __future__ import annotations

import functools
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from serving.workers import reserve_port, run_workers

HOST = "127.0.0.1"


def answer(port: int, index: int, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((HOST, port))
        server.listen()
        server.settimeout(0.02)
        ready()
        while not over.is_set():
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            with client:
                client.sendall(str(index).encode())


def fail(port: int, index: int, ready: Callable[[], None]) -> None:
    """The second worker cannot start."""
    if index == 1:
        sys.exit(3)
    answer(port, index, ready)


def drain(port: int, index: int, ready: Callable[[], None]) -> None:
    """The first ends at once, the second takes its time, and fails if it is told twice."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ready()
    signal.sigwait({signal.SIGTERM})
    if index == 1:
        time.sleep(0.5)
        sys.exit(5 if signal.SIGTERM in signal.sigpending() else 0)


def stubborn(port: int, index: int, ready: Callable[[], None]) -> None:
    """Ends at the second SIGTERM, and not well."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ready()
    for _ in range(2):
        signal.sigwait({signal.SIGTERM})
    sys.exit(4)


if __name__ == "__main__":
    work = {"answer": answer, "fail": fail, "drain": drain, "stubborn": stubborn}[sys.argv[1]]
    with reserve_port(HOST, 0) as port:
        sys.exit(
            run_workers(
                functools.partial(work, port),
                count=2,
                on_ready=lambda: print(f"ready {port}", flush=True),
                on_exit=lambda pid: print(f"gone {pid}", flush=True),
            )
        )
