"""One stream after it was admitted: messages in, answers out. Knows nothing of the transport."""

from __future__ import annotations

import time
from concurrent.futures import Executor

from nanowakeword.v1 import wakeword_pb2 as pb
from serving.engine import Engine
from serving.lease import Lease
from serving.metrics import Metrics
from serving.protocol import StreamConfig, write_heard
from serving.readers import AudioReader, EncodedReader, FeatureReader, Reader
from serving.session import Session
from serving.stream_warnings import StreamWarnings

__all__ = ["DetectStream"]


class DetectStream:
    """Reads, judges and answers the messages of one stream, one at a time.

    Args:
        config: what the client asked for.
        session: the stream, as the engine opened it.
        engine: judges.
        lease: the right to be open; charged for audio.
        metrics: counts.
        thread: decodes what takes long.

    Raises:
        UnsupportedError: this server does not decode the announced encoding.
    """

    def __init__(
        self,
        config: StreamConfig,
        *,
        session: Session,
        engine: Engine,
        lease: Lease,
        metrics: Metrics,
        thread: Executor,
    ) -> None:
        self._config = config
        self._session = session
        self._engine = engine
        self._lease = lease
        self._metrics = metrics
        self._reader = _make_reader(config, session=session, thread=thread)
        self._warnings = StreamWarnings(session, engine=engine, lease=lease)

    async def answer(self, request: pb.DetectRequest, *, draining: bool) -> pb.DetectResponse | None:
        """The answer to a message of audio or features; None where there is nothing to say.

        Args:
            request: the message.
            draining: whether the server is about to stop.

        Raises:
            LimitError: the caller sends more audio than it may.
            ProtocolError: the message is not what the stream announced.
            UnknownModelError: a model of the stream was removed.
        """
        began_s = time.perf_counter()
        piece, missing = await self._reader.read(request)
        self._lease.charge(len(piece) * self._reader.row_s)
        warnings = self._warnings.due(missing_messages=missing, draining=draining)
        self._metrics.chunk()
        self._metrics.latency("read", time.perf_counter() - began_s)
        heard = await self._engine.feed(self._session, piece)
        for detection in heard.detections:
            self._metrics.detection(detection.model)
        return write_heard(heard, config=self._config, warnings=warnings)

    async def finish(self) -> pb.DetectResponse | None:
        """The answer to the end of the client's messages.

        Raises:
            ProtocolError: they ended in the middle of something.
        """
        self._reader.end()
        heard = await self._engine.finish(self._session)
        for detection in heard.detections:
            self._metrics.detection(detection.model)
        return write_heard(heard, config=self._config)


def _make_reader(config: StreamConfig, *, session: Session, thread: Executor) -> Reader:
    if session.feature_shape is not None:
        rows_per_hop, width = session.feature_shape
        return FeatureReader(rows_per_hop=rows_per_hop, width=width)
    if config.encoding == pb.AUDIO_ENCODING_PCM_S16LE:
        return AudioReader()
    return EncodedReader(config.encoding, thread=thread)
