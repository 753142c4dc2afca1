"""Several processes behind one port: started, restarted when one dies, and drained together.

Each worker listens on the port itself (SO_REUSEPORT), and the kernel spreads connections over them. This process
carries no traffic: it keeps the port, so that no other program gets in between, and watches.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

from nanowakeword.errors import ConfigError

__all__ = ["Work", "reserve_port", "run_workers"]

_LOG: Final = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
# A worker that lived for so long was sound: the next pause is a short one again.
_SOUND_S: Final = 60.0

Work = Callable[[int, Callable[[], None]], None]
"""Serves until SIGTERM; gets the worker's number and what to call once it listens. Can be pickled."""


@contextlib.contextmanager
def reserve_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for workers: nobody else may have it, and nobody else gets it.

    Args:
        host: address to listen on.
        port: 0 takes a free one.

    Yields:
        The port.

    Raises:
        ConfigError: it is taken, or the address is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as alone, socket.socket(family, kind, protocol) as kept:
            # Another server that shares its port would share our clients: whoever has it, in whatever way, is in the
            # way. Connections that ended a moment ago are not.
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            address = alone.getsockname()
            alone.close()
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            kept.bind(address)  # and never listens, so that the kernel gives it no connections
            yield address[1]
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}",
            got=error.strerror,
            expected="a free port of this machine",
            hint="Stop the program that has it, or choose another: --port 0 takes any free one",
        ) from None


def run_workers(work: Work, *, count: int, on_ready: Callable[[], object], on_exit: Callable[[int], object]) -> int:
    """Run workers until SIGTERM or SIGINT, which they get as SIGTERM, each time that it comes.

    A worker that dies is started again, after a pause that grows while it keeps dying. One that dies before all of them
    have listened ends the others: what is wrong then will not get better. To be called in the main thread.

    Args:
        work: what each runs.
        count: how many.
        on_ready: called once, when all of them listen.
        on_exit: called with the process id of each that has ended.

    Returns:
        Exit status: 0 where all ended as they were told.
    """
    crew = _Crew(work, count=count, on_ready=on_ready, on_exit=on_exit)
    before = {number: signal.signal(number, lambda *_: crew.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return crew.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Crew:
    """The workers, each with a thread here that starts it, waits for its end, and starts it again."""

    def __init__(
        self, work: Work, *, count: int, on_ready: Callable[[], object], on_exit: Callable[[int], object]
    ) -> None:
        self._work = work
        self._on_ready = on_ready
        self._on_exit = on_exit
        self._context = multiprocessing.get_context("spawn")
        self._count = count
        self._ready: set[int] = set()
        self._processes: dict[int, SpawnProcess] = {}
        self._stopping = threading.Event()
        self._lock = threading.RLock()  # a signal may come while the main thread has it
        self._status = 0

    def run(self) -> int:
        """Run until all have ended; the exit status."""
        threads = [
            threading.Thread(target=self._keep, args=(index,), name=f"keeper {index}") for index in range(self._count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._status

    def stop(self) -> None:
        """Tell all to end."""
        with self._lock:
            self._stopping.set()
            for process in self._processes.values():
                process.terminate()

    def _keep(self, index: int) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            started_s = time.monotonic()
            code = self._run_once(index)
            if self._stopping.is_set() or len(self._ready) < self._count:
                # One that was told so before it had begun to listen for it ends by the signal itself.
                if code and not (self._stopping.is_set() and code == -signal.SIGTERM):
                    self._status = 1
                if not self._stopping.is_set():  # else they have been told, and a second signal means: hurry
                    self.stop()
                return
            if time.monotonic() - started_s > _SOUND_S:
                pause_s = _FIRST_PAUSE_S
            _LOG.error("worker %d ended with status %s; it is started again in %g s", index, code, pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _run_once(self, index: int) -> int | None:
        """Run a worker to its end; its exit status."""
        mine, theirs = self._context.Pipe(duplex=False)
        with self._lock:
            if self._stopping.is_set():
                return 0
            process = self._context.Process(
                target=_run_worker, args=(self._work, index, theirs), name=f"worker {index}"
            )
            process.start()
            self._processes[index] = process
        theirs.close()
        with mine, contextlib.suppress(EOFError):  # it died before it listened
            mine.recv_bytes()
            self._note_ready(index)
        process.join()
        with self._lock:
            del self._processes[index]
        self._on_exit(process.pid or 0)
        return process.exitcode

    def _note_ready(self, index: int) -> None:
        with self._lock:
            all_before = len(self._ready) == self._count
            self._ready.add(index)
            if len(self._ready) == self._count and not all_before:
                self._on_ready()


def _run_worker(work: Work, index: int, ready: Connection) -> None:
    """What a worker's process runs."""
    # Ctrl-C in a terminal goes to all processes of a group; this one is told by its parent, once.
    os.setsid()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), name="parent", daemon=True).start()

    def tell() -> None:
        ready.send_bytes(b"ready")
        ready.close()

    work(index, tell)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, however it went."""
    wait([parent])
    os.kill(os.getpid(), signal.SIGTERM)
