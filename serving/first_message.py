"""Calls of one message, answered as if they were streams of one.

For those calls gRPC waits for the message before our code hears of them, without an end, and whoever calls. The same
call taken as a stream is heard of at once: callers are looked at before anything of theirs is read, and then they have
only so long to send it. On the wire there is no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from nanowakeword.errors import NanoWakewordError
from serving.errors import IdleError, ProtocolError
from serving.guard import Guard
from serving.status import status_of

__all__ = ["FirstMessage"]

_PROBE: Final = "/grpc.health.v1.Health/Check"


class FirstMessage(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Makes a server answer that way.

    Args:
        guard: knows who may call.
        timeout_s: how long the message may take.
    """

    def __init__(self, guard: Guard, *, timeout_s: float) -> None:
        self._guard = guard
        self._timeout_s = timeout_s

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a method."""
        handler = await continuation(details)
        if handler is None or handler.request_streaming:
            return handler

        async def answer(requests: AsyncIterator[Any], context: Any) -> Any:
            return await handler.unary_unary(await self._read(requests, context, details.method), context)

        async def stream(requests: AsyncIterator[Any], context: Any) -> None:
            await handler.unary_stream(await self._read(requests, context, details.method), context)

        make, behaviour = (
            (grpc.stream_stream_rpc_method_handler, stream)
            if handler.response_streaming
            else (grpc.stream_unary_rpc_method_handler, answer)
        )
        return make(behaviour, handler.request_deserializer, handler.response_serializer)

    async def _read(self, requests: AsyncIterator[Any], context: Any, method: str) -> Any:
        try:
            look = self._guard.admit_probe if method == _PROBE else self._guard.screen
            look(context=context, method=method)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await anext(requests)
            except TimeoutError:
                raise IdleError("no message came", expected=f"one within {self._timeout_s:g} s") from None
            except StopAsyncIteration:
                raise ProtocolError("the call ended before its message", expected="one message") from None
        except (NanoWakewordError, DecodeError) as error:
            status = status_of(error)
            await context.abort(status.code, status.text)
