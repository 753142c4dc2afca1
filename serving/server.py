"""The server: listens, answers for its health, ends streams whose credentials end, and stops in order.

Knows nothing of audio.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from nanowakeword.errors import ConfigError, NanoWakewordError
from nanowakeword.v1 import wakeword_pb2, wakeword_pb2_grpc
from serving.config import ServerConfig
from serving.engine import Engine
from serving.first_message import FirstMessage
from serving.guard import Guard
from serving.metrics import Metrics
from serving.service import WakeWordService
from serving.status import status_of
from serving.tls import server_credentials
from serving.transport import Patience, channel_options

__all__ = ["SERVICE_NAME", "Server"]

SERVICE_NAME: Final = wakeword_pb2.DESCRIPTOR.services_by_name["WakeWordService"].full_name

# After the last stream ended, others that hang on the connection (watchers of health) get this long.
_LAST_CALLS_S: Final = 0.2
_SWEEP_S: Final = 0.5


class Server:
    """A server that is not yet started.

    Args:
        config: settings.
        engine: the models.
        guard: knows who may call.
        metrics: counts.
        patience: how long connections may do nothing.
        interceptors: of gRPC.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        engine: Engine,
        guard: Guard,
        metrics: Metrics,
        patience: Patience = Patience(),  # noqa: B008  # it is frozen
        interceptors: Sequence[Any] = (),
    ) -> None:
        self._config = config
        self._guard = guard
        self._service = WakeWordService(engine, guard=guard, metrics=metrics, config=config)
        self._health = _Health(guard)
        self._grpc = grpc.aio.server(
            options=channel_options(config, patience),
            interceptors=(*interceptors, FirstMessage(guard, timeout_s=patience.first_message_s)),
        )
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        wakeword_pb2_grpc.add_WakeWordServiceServicer_to_server(self._service, self._grpc)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(guard, names), self._grpc)
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def open_streams(self) -> int:
        """Streams open now in this worker."""
        return self._service.open_streams

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            ConfigError: the address is taken or is not ours, or a file of TLS cannot be used.
        """
        address, tls = self._config.address, self._config.tls
        try:
            port: int = (
                self._grpc.add_insecure_port(address)
                if tls is None
                else self._grpc.add_secure_port(address, server_credentials(tls))
            )
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {address}",
                expected="a free port of this machine",
                hint="Stop the program that has it, or choose another: --port 0 takes any free one",
            ) from error
        await self._health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        await self._grpc.start()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep")
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
        self._service.close()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def end_streams(self) -> None:
        """End every open stream now with UNAVAILABLE."""
        self._service.end_streams()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._guard.sweep()


class _Health(health.aio.HealthServicer):  # type: ignore[misc]  # grpc has no types
    """Tells whether the server is well, to those who may ask (for `Check` see `FirstMessage`)."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        """Whether it is, each time that it changes. A stream of its own, which only known callers may keep open."""
        async with _refusing(context):
            with self._guard.open_stream(self._guard.admit(context=context, method="health Watch")):
                await super().Watch(request, context)


class _Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """Tells the protocol, to those who may ask."""

    def __init__(self, guard: Guard, names: tuple[str, ...]) -> None:
        super().__init__(service_names=names)
        self._guard = guard

    async def ServerReflectionInfo(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answers questions about services and messages."""
        async with _refusing(context):
            with self._guard.open_stream(self._guard.admit(context=context, method="reflection")):
                async for response in super().ServerReflectionInfo(requests, context):
                    yield response


@contextlib.asynccontextmanager
async def _refusing(context: Any) -> AsyncIterator[None]:
    """Turn what the guard raises into the status that the client reads."""
    try:
        yield
    except NanoWakewordError as error:
        status = status_of(error)
        await context.abort(status.code, status.text)
