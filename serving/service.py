"""The servicer: admits callers and carries messages between them and the engine, one task per call. No algorithm."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import onnxruntime

import nanowakeword
from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceServicer
from serving import logs
from serving.caller import Caller
from serving.codecs import known_encodings
from serving.config import MAX_AUDIO_BYTES, ServerConfig
from serving.detect_file import FileDetector
from serving.detect_stream import DetectStream
from serving.engine import Engine
from serving.errors import IdleError, OverloadError, ProtocolError
from serving.guard import Guard
from serving.lease import Lease
from serving.metrics import Metrics
from serving.protocol import StreamConfig, read_config, write_model, write_opened
from serving.session import Session
from serving.status import status_of
from serving.streams import OpenStream, Streams

__all__ = ["WakeWordService"]

# grpc has no types for what it hands to a servicer.
Context = Any

# What a call reads after the client's last message. (To iterate over the messages costs a generator more for each.)
_END: Final = grpc.aio.EOF

_log = logging.getLogger(__name__)


class WakeWordService(WakeWordServiceServicer):
    """Answers the calls of ``nanowakeword.v1.WakeWordService``. Nothing of a call is read before it is admitted.

    Args:
        engine: runs the models.
        guard: knows who may call.
        metrics: counts.
        config: settings.
    """

    def __init__(self, engine: Engine, *, guard: Guard, metrics: Metrics, config: ServerConfig) -> None:
        self._engine = engine
        self._guard = guard
        self._metrics = metrics
        self._config = config
        self._streams = Streams(idle_timeout_s=config.idle_timeout_s)
        # A file may take this thread for long; a message of a stream never does.
        self._codec_thread = ThreadPoolExecutor(1, thread_name_prefix="codecs")
        self._file_thread = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._files = FileDetector(
            engine, max_file_bytes=config.max_file_bytes, metrics=metrics, thread=self._file_thread
        )

    @property
    def open_streams(self) -> int:
        """Streams, and files under way, open now in this process."""
        return len(self._streams)

    async def drain(self, drain_s: float) -> None:
        """Warn open streams, wait at most ``drain_s`` seconds for them to finish, then end those that are left."""
        await self._streams.drain(drain_s)

    def end_streams(self) -> None:
        """End every open stream now with UNAVAILABLE."""
        self._streams.end_all()

    def close(self) -> None:
        """End the threads, after all calls have ended."""
        self._codec_thread.shutdown()
        self._file_thread.shutdown(cancel_futures=True)

    async def Detect(self, requests: AsyncIterator[pb.DetectRequest], context: Context) -> None:  # noqa: ARG002, N802
        """One stream: configuration, then audio, until the client closes its side."""
        async with self._answering(context):
            caller = self._guard.admit(context=context, method="Detect")
            with self._streams.open() as stream, self._open_lease(caller) as lease:
                first = await context.read()
                config = read_config(None if first is _END else first)
                with self._open_session(config) as session:
                    detect = DetectStream(
                        config,
                        session=session,
                        engine=self._engine,
                        lease=lease,
                        metrics=self._metrics,
                        thread=self._codec_thread,
                    )
                    await context.write(write_opened(session))
                    await self._listen(detect, stream, context)

    async def DetectFile(  # noqa: N802
        self, requests: AsyncIterator[pb.DetectFileRequest], context: Context
    ) -> pb.DetectFileResponse:
        """One recording."""
        async with self._answering(context):
            caller = self._guard.admit(context=context, method="DetectFile")
            with self._streams.open() as stream, self._open_lease(caller) as lease:
                config = read_config(await anext(requests, None))
                with self._open_session(config) as session:
                    return await self._files.detect(
                        requests, config=config, session=session, lease=lease, stream=stream
                    )

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: ARG002, N802
        """The models, the default one first."""
        async with self._answering(context):
            self._guard.admit(context=context, method="ListModels")
            infos = [write_model(model, is_default=index == 0) for index, model in enumerate(self._engine.models)]
            return pb.ListModelsResponse(models=infos)

    async def GetServerInfo(  # noqa: N802
        self,
        request: pb.GetServerInfoRequest,  # noqa: ARG002
        context: Context,
    ) -> pb.GetServerInfoResponse:
        """Versions and limits."""
        async with self._answering(context):
            self._guard.admit(context=context, method="GetServerInfo")
            return pb.GetServerInfoResponse(
                server_version=nanowakeword.__version__,
                onnxruntime_version=onnxruntime.__version__,
                grpc_version=grpc.__version__,
                protocols=[pb.DESCRIPTOR.package],
                max_audio_bytes=MAX_AUDIO_BYTES,
                open_streams=self._guard.open_streams,
                max_file_bytes=self._config.max_file_bytes,
                encodings=known_encodings(),
                issues_tokens=self._config.enable_tokens,
                idle_timeout_s=self._config.idle_timeout_s,
            )

    async def IssueToken(self, request: pb.IssueTokenRequest, context: Context) -> pb.IssueTokenResponse:  # noqa: N802
        """A token that stands for the caller."""
        async with self._answering(context):
            caller = self._guard.admit(context=context, method="IssueToken")
            token, token_id, expires_at_s = self._guard.issue(caller, request.ttl_s)
            return pb.IssueTokenResponse(token=token, token_id=token_id, expires_at_s=expires_at_s)

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Context) -> pb.RevokeTokenResponse:  # noqa: N802
        """The end of a token."""
        async with self._answering(context):
            caller = self._guard.admit(context=context, method="RevokeToken")
            which = request.WhichOneof("which")
            if which is None:
                raise ProtocolError("no token to revoke", got="nothing", expected="token or token_id")
            self._guard.revoke(caller, **{which: getattr(request, which)})
            return pb.RevokeTokenResponse()

    async def _listen(self, detect: DetectStream, stream: OpenStream, context: Context) -> None:
        """Answer the messages of a stream.

        One is read, judged and answered before the next one is read: a flood waits in the client, by HTTP/2 flow
        control, and a slow reader stops its own stream.
        """
        stream.wait()
        while (request := await context.read()) is not _END:
            stream.work()
            response = await detect.answer(request, draining=self._streams.draining)
            stream.wait()
            if response is not None:
                began_s = time.perf_counter()
                await context.write(response)
                self._metrics.latency("write", time.perf_counter() - began_s)
                stream.wait()
        stream.work()
        response = await detect.finish()
        stream.wait()
        if response is not None:
            await context.write(response)

    @contextlib.contextmanager
    def _open_lease(self, caller: Caller) -> Iterator[Lease]:
        with self._guard.open_stream(caller) as lease:
            self._metrics.stream_opened()
            try:
                yield lease
            finally:
                self._metrics.stream_closed()

    @contextlib.contextmanager
    def _open_session(self, config: StreamConfig) -> Iterator[Session]:
        session = self._engine.open(
            config.selections,
            verifier_only=config.verifier_only,
            made_by=config.made_by,
            pre_roll_hops=config.pre_roll_hops,
        )
        try:
            yield session
        finally:
            self._engine.close_session(session)

    @contextlib.asynccontextmanager
    async def _answering(self, context: Context) -> AsyncIterator[None]:
        """Turn what is raised inside into the status that the client reads; what is our fault goes to the log."""
        with logs.request():
            try:
                yield
            except grpc.aio.AbortError:
                raise
            except grpc.aio.InternalError:
                # What gRPC raises where the connection broke under a read or a write: nobody is left to answer.
                _log.debug("a client left", exc_info=True)
            except Exception as error:
                if isinstance(error, OverloadError):
                    self._metrics.refused("overload")
                elif isinstance(error, IdleError):
                    self._metrics.refused("idle")
                status = status_of(error)
                if status.logged:
                    _log.exception("a call failed")
                await context.abort(status.code, status.text)
