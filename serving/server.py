"""Transport: a gRPC server with its health, reflection and an orderly end. Knows nothing of audio."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from nanowakeword.errors import ConfigError
from nanowakeword.v1 import wakeword_pb2, wakeword_pb2_grpc
from serving.config import MAX_MESSAGE_BYTES, ServerConfig
from serving.engine import Engine
from serving.service import WakeWordService

__all__ = ["SERVICE_NAME", "Server"]

SERVICE_NAME: Final = wakeword_pb2.DESCRIPTOR.services_by_name["WakeWordService"].full_name

_OPTIONS: Final = [
    # Two servers on one port would share its clients by chance: a second one has to fail.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Flow-control windows stay at 64 KiB, 2 s of audio: what may wait here for one stream is bounded.
    ("grpc.http2.bdp_probe", 0),
]
# After the last stream ended, others that hang on the connection (watchers of health) get this long.
_LAST_CALLS_S: Final = 0.2


class Server:
    """A server that is not yet started.

    Args:
        config: settings.
        engine: the models.
    """

    def __init__(self, config: ServerConfig, *, engine: Engine) -> None:
        self._config = config
        self._service = WakeWordService(engine)
        self._health = health.aio.HealthServicer()
        self._grpc = grpc.aio.server(options=_OPTIONS)
        wakeword_pb2_grpc.add_WakeWordServiceServicer_to_server(self._service, self._grpc)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._grpc)

    @property
    def open_streams(self) -> int:
        """Streams open now."""
        return self._service.open_streams

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            ConfigError: the address is taken or is not ours.
        """
        try:
            port: int = self._grpc.add_insecure_port(self._config.address)
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {self._config.address}",
                expected="a free port of this machine",
                hint="Stop the program that has it, or choose another: --port 0 takes any free one",
            ) from error
        await self._health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        await self._grpc.start()
        return port

    async def stop(self, *, drain_s: float) -> None:
        """Take no new streams, let open ones finish for at most ``drain_s`` seconds, then end them.

        A second call with a shorter time makes a drain under way shorter. Returns when everything has ended.
        """
        await self._health.enter_graceful_shutdown()
        # The larger grace never applies unless a stream refuses to be ended.
        draining = asyncio.ensure_future(self._grpc.stop(drain_s + 1.0))
        await self._service.drain(drain_s)
        await self._grpc.stop(_LAST_CALLS_S)
        await draining

    async def run_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second signal ends open streams at once."""
        loop = asyncio.get_running_loop()
        signals: asyncio.Queue[None] = asyncio.Queue()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signals.put_nowait, None)
        await signals.get()
        draining = asyncio.ensure_future(self.stop(drain_s=self._config.drain_s))
        hurry = asyncio.ensure_future(signals.get())
        await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            self._service.end_streams()
        hurry.cancel()
        await draining
