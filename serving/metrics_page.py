"""The page that Prometheus reads: a small HTTP server on a thread of its own, away from the streams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from nanowakeword.errors import ConfigError
from serving.addresses import split_address

__all__ = ["MetricsPage", "metrics_of_workers"]

_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_MOST_REQUEST_BYTES: Final = 8 * 1024
_MOST_CONNECTIONS: Final = 8
# For a whole visit, so that nobody keeps a connection by being slow.
_VISIT_S: Final = 5.0
_LOG: Final = logging.getLogger(__name__)


@contextlib.contextmanager
def metrics_of_workers() -> Iterator[CollectorRegistry]:
    """Let all processes that are started meanwhile keep their figures together.

    Yields:
        The figures of all of them.
    """
    with tempfile.TemporaryDirectory(prefix="nanowakeword-metrics-") as folder:
        os.environ[_FOLDER_VARIABLE] = folder
        registry = CollectorRegistry()
        registry.register(_Workers(Path(folder)))
        try:
            yield registry
        finally:
            del os.environ[_FOLDER_VARIABLE]


class MetricsPage:
    """Serves ``/metrics``; a context manager.

    Args:
        address: ``host:port``, an IPv6 host in brackets; port 0 takes a free one.
        registry: the figures.

    Attributes:
        port: where it listens, once entered.

    Raises:
        ConfigError: on entering: the address is taken or is not ours.
    """

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        self._address = address
        self._registry = registry

    def __enter__(self) -> Self:
        listener = self._bind()
        self.port: int = listener.getsockname()[1]
        self._visits: set[_Visit] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="metrics page", daemon=True)
        self._thread.start()
        serving = self._loop.create_server(lambda: _Visit(self._registry, self._visits, self._loop), sock=listener)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        # Python 3.11 loses a connection whose accepting, a task of the loop, is under way when the server closes.
        while accepting := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(accepting)
        self._server.close()
        for visit in list(self._visits):
            visit.abort()
        await asyncio.sleep(0)  # so that they are closed

    def _bind(self) -> socket.socket:
        host, port = split_address(self._address, what="metrics")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, backlog=_MOST_CONNECTIONS)
        except OSError as error:
            raise ConfigError(
                f"cannot serve metrics on {self._address}",
                got=error,
                expected="a free port of this machine",
                hint="Stop the program that has it, or choose another: --metrics 127.0.0.1:9464",
            ) from error


class _Visit(asyncio.Protocol):
    """One connection: one request, one answer."""

    def __init__(self, registry: CollectorRegistry, visits: set[_Visit], loop: asyncio.AbstractEventLoop) -> None:
        self._registry = registry
        self._visits = visits
        self._loop = loop
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._end = self._loop.call_later(_VISIT_S, self.abort)
        self._visits.add(self)
        if len(self._visits) > _MOST_CONNECTIONS:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._request += data
        if b"\r\n\r\n" in self._request or len(self._request) > _MOST_REQUEST_BYTES:
            self._transport.pause_reading()
            self._transport.write(self._answer())
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._end.cancel()
        self._visits.discard(self)

    def abort(self) -> None:
        self._transport.abort()

    def _answer(self) -> bytes:
        line = re.match(rb"([A-Z]+) ([^ ?]+)(?:\?[^ ]*)? HTTP/1\.[01]\r\n", self._request)
        if line is None or len(self._request) > _MOST_REQUEST_BYTES:
            return _answer("400 Bad Request", b"not a request that this server reads\n")
        if line[2] != b"/metrics":
            return _answer("404 Not Found", b"the page is /metrics\n")
        if line[1] != b"GET":
            return _answer("405 Method Not Allowed", b"GET is the method\n")
        try:
            page = generate_latest(self._registry)
        except Exception:
            _LOG.exception("no metrics")
            return _answer("500 Internal Server Error", b"the server's log tells more\n")
        return _answer("200 OK", page, kind=CONTENT_TYPE_LATEST)


def _answer(status: str, body: bytes, *, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii") + body


class _Workers(Collector):
    """The figures of processes, less what only living ones can have: a killed worker has no open streams."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: Any = MultiProcessCollector(None, path=str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for path in self._folder.glob("gauge_live*.db"):
            number = int(path.stem.rpartition("_")[2])
            if not _lives(number):
                mark_process_dead(number, path=str(self._folder))  # type: ignore[no-untyped-call]
        metrics: Iterable[Metric] = self._all.collect()
        return metrics


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
