"""Recordings that are sent whole: collected in memory, decoded piece by piece, judged between the live streams.

Nothing is written to disk. What a file may cost is bounded: its bytes, the bytes of all files under way, its length
when decoded, and the memory of one decoded piece.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from typing import Final

from nanowakeword.arrays import Samples
from nanowakeword.audio import audio_blocks
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES
from serving.engine import Engine
from serving.errors import OverloadError, ProtocolError
from serving.lease import Lease
from serving.metrics import Metrics
from serving.protocol import StreamConfig, add_scores, write_detections, write_models
from serving.readers import payload_name
from serving.session import Heard, Session
from serving.streams import OpenStream

__all__ = ["MAX_FILE_S", "FileDetector"]

# The largest file that the server takes by default holds half an hour of WAV and some four hours of MP3; one of
# compressed silence could hold years.
MAX_FILE_S: Final = 6 * 3600
# All files under way need no more memory than this many of the largest.
_LARGEST_FILES: Final = 4
# 4 s: more hops in a run are no faster, and fewer give way to live streams no better.
_PIECE_SAMPLES: Final = 50 * HOP_SAMPLES


class FileDetector:
    """Judges files.

    Args:
        engine: runs the models.
        max_file_bytes: largest file.
        metrics: counts.
        thread: decodes, one piece of one file at a time.
    """

    def __init__(self, engine: Engine, *, max_file_bytes: int, metrics: Metrics, thread: Executor) -> None:
        self._engine = engine
        self._max_file_bytes = max_file_bytes
        self._metrics = metrics
        self._thread = thread
        self._room_bytes = _LARGEST_FILES * max_file_bytes

    async def detect(
        self,
        requests: AsyncIterator[pb.DetectFileRequest],
        *,
        config: StreamConfig,
        session: Session,
        lease: Lease,
        stream: OpenStream,
    ) -> pb.DetectFileResponse:
        """What is heard in a file.

        Args:
            requests: its bytes.
            config: what the client asked for.
            session: where it is judged.
            lease: the right to send it; charged for its length.
            stream: is told whose turn it is.

        Raises:
            AudioError: the bytes are no audio, or damaged.
            LimitError: the caller sends more audio than it may.
            OverloadError: too many files are under way.
            ProtocolError: a message is something else, or the file is too large or too long.
        """
        file = io.BytesIO()
        try:
            stream.wait()
            async for request in requests:
                self._collect(file, request)
                stream.wait()
            stream.work()
            return await self._judge(file, config=config, session=session, lease=lease)
        finally:
            self._room_bytes += file.getbuffer().nbytes

    def _collect(self, file: io.BytesIO, request: pb.DetectFileRequest) -> None:
        if request.WhichOneof("payload") != "data":
            raise ProtocolError("after its configuration a file is data", got=payload_name(request), expected="data")
        size = len(request.data)
        if size > MAX_AUDIO_BYTES:
            raise ProtocolError(
                "too much of a file in one message",
                got=f"{size} bytes",
                expected=f"at most {MAX_AUDIO_BYTES} bytes",
                hint="Send it in several messages",
            )
        if file.tell() + size > self._max_file_bytes:
            raise ProtocolError(
                "the file is too large",
                expected=f"at most {self._max_file_bytes} bytes",
                hint="Send it in parts, compressed, or as a stream",
            )
        if size > self._room_bytes:
            raise OverloadError("this server is busy with other files", hint="Try again later")
        self._room_bytes -= size
        file.write(request.data)

    async def _judge(
        self, file: io.BytesIO, *, config: StreamConfig, session: Session, lease: Lease
    ) -> pb.DetectFileResponse:
        response = pb.DetectFileResponse(models=write_models(session))
        scores: dict[str, pb.ScoreTrack] = {}
        samples = 0

        def add(heard: Heard) -> None:
            response.detections.extend(write_detections(heard, config=config))
            for detection in heard.detections:
                self._metrics.detection(detection.model)
            piece = pb.DetectFileResponse()
            add_scores(piece.scores, heard, config=config)
            for track in piece.scores:
                whole = scores.setdefault(track.model, track)
                if whole is not track:
                    whole.values.extend(track.values)

        loop = asyncio.get_running_loop()
        blocks = audio_blocks(file, name="the file")
        while (block := await loop.run_in_executor(self._thread, next, blocks, None)) is not None:
            samples += len(block)
            if samples > MAX_FILE_S * SAMPLE_RATE_HZ:
                raise ProtocolError(
                    "the recording is too long", expected=f"at most {MAX_FILE_S} s", hint="Send it in parts"
                )
            lease.charge(len(block) / SAMPLE_RATE_HZ)
            for piece in _pieces(block):
                add(await self._engine.feed(session, piece))
        add(await self._engine.finish(session))
        response.duration_s = samples / SAMPLE_RATE_HZ
        response.scores.extend(scores.values())
        return response


def _pieces(block: Samples) -> Iterator[Samples]:
    for start in range(0, len(block), _PIECE_SAMPLES):
        yield block[start : start + _PIECE_SAMPLES]
