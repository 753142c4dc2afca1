"""The servicer: carries messages between streams and the engine, one task per stream. No algorithm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, cast

import grpc
import onnxruntime

import nanowakeword
from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceServicer
from serving.config import MAX_AUDIO_BYTES
from serving.engine import Engine
from serving.errors import ProtocolError
from serving.protocol import (
    StreamConfig,
    draining_warning,
    gap_warning,
    read_config,
    write_heard,
    write_model,
    write_opened,
)
from serving.readers import AudioReader, FeatureReader, Reader
from serving.session import Session
from serving.status import status_of

__all__ = ["WakeWordService"]

# grpc has no types for what it hands to a servicer.
Context = Any
Requests = AsyncIterator[pb.DetectRequest]

_log = logging.getLogger(__name__)
_STOPPING: Final = "the server is stopping; connect again"


class WakeWordService(WakeWordServiceServicer):
    """Answers the calls of ``nanowakeword.v1.WakeWordService``.

    Args:
        engine: runs the models.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._streams: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._ending = False

    @property
    def open_streams(self) -> int:
        """Streams open now."""
        return len(self._streams)

    async def drain(self, drain_s: float) -> None:
        """Warn open streams, wait at most ``drain_s`` seconds for them to finish, then end those that are left."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), drain_s)
        self.end_streams()
        await self._idle.wait()

    def end_streams(self) -> None:
        """End every open stream now with UNAVAILABLE."""
        self._ending = True
        for stream in self._streams:
            stream.cancel()

    async def Detect(self, requests: Requests, context: Context) -> None:  # noqa: N802
        """One stream: configuration, then audio, until the client closes its side."""
        with self._counted():
            async with _answering(context):
                try:
                    await self._listen(requests, context)
                except asyncio.CancelledError:
                    # A client that left and a server that stops both cancel this task; only the second needs an answer.
                    if self._ending:
                        await context.abort(grpc.StatusCode.UNAVAILABLE, _STOPPING)
                    raise

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: ARG002, N802
        """The models, the default one first."""
        async with _answering(context):
            infos = [write_model(model, is_default=index == 0) for index, model in enumerate(self._engine.models)]
            return pb.ListModelsResponse(models=infos)

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:  # noqa: ARG002, N802
        """Versions and limits."""
        async with _answering(context):
            return pb.GetServerInfoResponse(
                server_version=nanowakeword.__version__,
                onnxruntime_version=onnxruntime.__version__,
                grpc_version=grpc.__version__,
                protocols=[pb.DESCRIPTOR.package],
                max_audio_bytes=MAX_AUDIO_BYTES,
                open_streams=self.open_streams,
            )

    async def _listen(self, requests: Requests, context: Context) -> None:
        first = await anext(requests, None)
        if first is None:
            raise ProtocolError("the stream ended before it began", expected="config, then audio")
        config = read_config(first)
        session = self._engine.open(config.selections, verifier_only=config.verifier_only, made_by=config.made_by)
        try:
            await self._carry(session, config, requests, context)
        finally:
            self._engine.close_session(session)

    async def _carry(self, session: Session, config: StreamConfig, requests: Requests, context: Context) -> None:
        await context.write(write_opened(session))
        reader: Reader = AudioReader()
        if session.feature_shape is not None:
            rows_per_hop, width = session.feature_shape
            reader = FeatureReader(rows_per_hop=rows_per_hop, width=width)
        told = False
        # One message is read, judged and answered before the next one is read: a flood waits in the client, by HTTP/2
        # flow control, and a slow reader stops its own stream.
        async for request in requests:
            piece, missing = reader.read(request)
            warnings = [gap_warning(missing, at_s=session.seconds)] if missing else []
            heard = await self._engine.feed(session, piece)
            if self._draining and not told:
                told = True
                warnings.append(draining_warning(at_s=session.seconds))
            await _write(context, write_heard(heard, output=config.output, warnings=warnings))
        await _write(context, write_heard(await self._engine.finish(session), output=config.output))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Keep the running task among the open streams."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._streams.add(task)
        self._idle.clear()
        try:
            yield
        finally:
            self._streams.discard(task)
            if not self._streams:
                self._idle.set()


@contextlib.asynccontextmanager
async def _answering(context: Context) -> AsyncIterator[None]:
    """Turn what is raised inside into the status that the client reads; what is our fault goes to the log."""
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except grpc.aio.InternalError:
        # What gRPC raises where the connection broke under a read or a write: nobody is left to answer.
        _log.debug("a client left", exc_info=True)
    except Exception as error:
        status = status_of(error)
        if status.logged:
            _log.exception("a call failed")
        await context.abort(status.code, status.text)


async def _write(context: Context, response: pb.DetectResponse | None) -> None:
    if response is not None:
        await context.write(response)
