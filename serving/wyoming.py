"""The Wyoming protocol, which Home Assistant speaks, on the same models, threads and limits as gRPC.

It has neither credentials nor encryption: whoever reaches the port may listen for wake words, and learn the models'
names. The settings keep it on this machine unless `insecure` says otherwise; the allowlist and all limits apply.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, cast

from nanowakeword.errors import ConfigError, DependencyError
from serving.addresses import split_uri
from serving.config import ServerConfig
from serving.discovery import Announcement
from serving.engine import Engine
from serving.errors import IdleError, StoppingError
from serving.guard import Guard
from serving.logs import request
from serving.metrics import Metrics
from serving.status import status_of
from serving.streams import OpenStream, Streams

try:
    from wyoming.error import Error

    from serving.wyoming_connection import Connection
    from serving.wyoming_stream import WyomingStream
    from serving.wyoming_wire import MAX_LINE_BYTES, write_event
except ImportError as missing:
    raise DependencyError(
        "cannot serve the Wyoming protocol",
        got=missing,
        hint='Install what is missing: pip install "nanowakeword[wyoming]"',
    ) from missing

__all__ = ["WyomingServer"]

_MOST_CONNECTIONS: Final = 512
# Home Assistant has one connection per satellite; a single machine must not keep all others out.
_MOST_OF_ONE_ADDRESS: Final = 128
_GOODBYE_S: Final = 1.0
_STOPPING: Final = "the server is stopping; connect again"
_LOG: Final = logging.getLogger(__name__)


class WyomingServer:
    """Listens for Wyoming clients; to be used in the event loop of the engine.

    Args:
        config: settings; `ServerConfig.wyoming` is set.
        engine: judges.
        guard: admits and counts.
        metrics: counts, too.
    """

    def __init__(self, config: ServerConfig, *, engine: Engine, guard: Guard, metrics: Metrics) -> None:
        self._config = config
        self._engine = engine
        self._guard = guard
        self._metrics = metrics
        self._streams = Streams(idle_timeout_s=config.idle_timeout_s)
        self._connections: dict[Connection, OpenStream] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._addresses: Counter[str] = Counter()
        self._announcement: Announcement | None = None

    async def start(self, *, announce: bool) -> str:
        """Listen, and return where, as ``tcp://host:port``.

        Args:
            announce: whether to announce the service where the settings name it: one of several workers does.

        Raises:
            ConfigError: the address is taken or is not ours, or the service cannot be announced.
        """
        host, port = split_uri(self._config.wyoming or "", what="wyoming")
        try:
            self._server = await asyncio.start_server(
                self._serve, host, port, limit=MAX_LINE_BYTES, reuse_port=self._config.workers > 1
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._config.wyoming}",
                got=error.strerror,
                expected="a free port of this machine",
                hint="Stop the program that has it, or choose another port",
            ) from None
        port = self._server.sockets[0].getsockname()[1]
        if announce and self._config.zeroconf is not None:
            self._announcement = Announcement(self._config.zeroconf, host=host, port=port)
            try:
                await self._announcement.start()
            except BaseException:
                self._server.close()
                raise
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    async def stop(self, *, drain_s: float) -> None:
        """Take no new connections, end those without a stream of audio, and the others after ``drain_s`` seconds."""
        self._server.close()
        if self._announcement is not None:
            await self._announcement.stop()
        for connection, stream in self._connections.items():
            if not connection.listens:
                stream.end(StoppingError(_STOPPING))
        await self._streams.drain(drain_s)
        await asyncio.gather(*self._tasks)

    def end_streams(self) -> None:
        """End all connections now."""
        self._streams.end_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._tasks.add(task)
        peer = writer.get_extra_info("peername")
        try:
            with self._counted(peer[0]) as has_room, request():
                if has_room:
                    await self._answer(reader, writer, peer=peer)
                await _leave(writer)
        finally:
            self._tasks.discard(task)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, peer: tuple[Any, ...]
    ) -> None:
        """Serve a client; what is wrong it is told, and what is our fault goes to the log."""
        try:
            kind = "ipv6" if ":" in peer[0] else "ipv4"
            caller = self._guard.admit_peer(peer=f"{kind}:[{peer[0]}]:{peer[1]}", method="wyoming")
            with self._streams.open() as stream:
                connection = Connection(
                    reader,
                    writer,
                    engine=self._engine,
                    open_stream=functools.partial(
                        WyomingStream, caller=caller, engine=self._engine, guard=self._guard, metrics=self._metrics
                    ),
                    waiting=stream,
                )
                self._connections[connection] = stream
                try:
                    await connection.serve(draining=lambda: self._streams.draining)
                finally:
                    del self._connections[connection]
        except ConnectionError:
            _LOG.debug("a client left", exc_info=True)
        except Exception as error:
            status = status_of(error)
            if status.logged:
                _LOG.exception("a connection failed")
            if isinstance(error, IdleError):
                self._metrics.refused("idle")
            await _say_goodbye(Error(text=status.text, code=status.code.name), reader, writer)

    @contextlib.contextmanager
    def _counted(self, address: str) -> Iterator[bool]:
        """Count a connection; whether there is room for it."""
        self._addresses[address] += 1
        try:
            yield self._addresses.total() <= _MOST_CONNECTIONS and self._addresses[address] <= _MOST_OF_ONE_ADDRESS
        finally:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]


async def _say_goodbye(error: Error, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell a client why it has to go, and wait until it is gone: it would not read it if we closed on what it sends."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_GOODBYE_S):
            await write_event(error.event(), writer)
            writer.write_eof()
            while await reader.read(MAX_LINE_BYTES):
                pass


async def _leave(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whether or not the other side still reads."""
    writer.close()
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await writer.wait_closed()
    except (ConnectionError, TimeoutError):
        writer.transport.abort()
