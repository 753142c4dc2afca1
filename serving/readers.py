"""Reads the messages that follow a stream's configuration: audio or features, and how many are missing."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Any, Final, Protocol

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.timing import HOP_S, SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.codecs import make_decoder
from serving.config import MAX_AUDIO_BYTES, MAX_FEATURES_BYTES
from serving.errors import ProtocolError

__all__ = ["AudioReader", "EncodedReader", "FeatureReader", "Reader", "payload_name"]

_SAMPLE_BYTES: Final = 2
_VALUE_BYTES: Final = 4
# Decoding this much takes less than 0.1 ms as a rule, about what it costs to wait for another thread.
_QUICK_BYTES: Final = 2_048
_FIELDS: Final = {pb.AUDIO_ENCODING_OPUS: "opus_packet", pb.AUDIO_ENCODING_FLAC: "flac"}


class Reader(Protocol):
    """Reads the messages of one stream and counts them.

    Attributes:
        row_s: seconds of audio that one row of a piece stands for.
    """

    row_s: float

    async def read(self, request: pb.DetectRequest) -> tuple[Samples | Floats, int]:
        """What a message carries, a view of its bytes where it can be, and how many messages are missing before it.

        Raises:
            ProtocolError: it carries something else, or in the wrong shape, or a number used before.
        """

    def end(self) -> None:
        """No more messages come.

        Raises:
            ProtocolError: the last one ended in the middle of something.
        """


class AudioReader:
    """Reads samples: int16 ``[n]``."""

    row_s = 1.0 / SAMPLE_RATE_HZ

    def __init__(self) -> None:
        self._counter = _Counter()

    async def read(self, request: pb.DetectRequest) -> tuple[Samples, int]:
        """As `Reader.read`."""
        chunk = _audio(request, field="pcm_s16le")
        data = chunk.pcm_s16le
        if len(data) % _SAMPLE_BYTES:
            raise ProtocolError(
                "half a sample in an audio message",
                got=f"{len(data)} bytes",
                expected="an even number: 16-bit little-endian samples",
            )
        missing = self._counter.count(chunk)
        return np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False), missing

    def end(self) -> None:
        """Messages are whole."""


class EncodedReader:
    """Reads encoded audio: int16 ``[n]``.

    Args:
        encoding: what is announced, Opus or FLAC.
        thread: decodes what takes longer than to hand it over; one thread for all streams.

    Raises:
        UnsupportedError: this server does not decode it.
    """

    row_s = 1.0 / SAMPLE_RATE_HZ

    def __init__(self, encoding: pb.AudioEncoding, *, thread: Executor) -> None:
        self._field = _FIELDS[encoding]
        self._decoder = make_decoder(encoding)
        self._thread = thread
        self._counter = _Counter()

    async def read(self, request: pb.DetectRequest) -> tuple[Samples, int]:
        """As `Reader.read`."""
        chunk = _audio(request, field=self._field)
        data = getattr(chunk, self._field)
        missing = self._counter.count(chunk)
        if len(data) <= _QUICK_BYTES:
            return self._decoder.decode(data), missing
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._decoder.decode, data), missing

    def end(self) -> None:
        """As `Reader.end`."""
        self._decoder.end()


class FeatureReader:
    """Reads features: float32 ``[k*r, f]``.

    Args:
        rows_per_hop: ``r`` of the stream's models.
        width: ``f``.
    """

    def __init__(self, *, rows_per_hop: int, width: int) -> None:
        self.row_s = HOP_S / rows_per_hop
        self._rows_per_hop = rows_per_hop
        self._width = width
        self._counter = _Counter()

    async def read(self, request: pb.DetectRequest) -> tuple[Floats, int]:
        """As `Reader.read`."""
        _expect("features", request)
        chunk = request.features
        if not chunk.HasField("f32le"):
            raise ProtocolError("a message of features without values", expected="f32le to be set")
        size = len(chunk.f32le)
        if size > MAX_FEATURES_BYTES:
            raise ProtocolError(
                "too many features in one message",
                got=f"{size} bytes",
                expected=f"at most {MAX_FEATURES_BYTES} bytes",
                hint="Send them in several messages",
            )
        if chunk.rows % self._rows_per_hop:
            raise ProtocolError(
                "features of a part of a hop",
                got=f"{chunk.rows} rows",
                expected=f"a multiple of {self._rows_per_hop} rows",
            )
        wanted = chunk.rows * self._width * _VALUE_BYTES
        if size != wanted:
            raise ProtocolError(
                "features of another width",
                got=f"{size} bytes for {chunk.rows} rows",
                expected=f"{wanted} bytes ({self._width} values of {_VALUE_BYTES} bytes to a row)",
            )
        features = np.frombuffer(chunk.f32le, dtype="<f4").astype(np.float32, copy=False)
        if not np.isfinite(features).all():
            raise ProtocolError("features that are no numbers", got="nan or infinity", expected="finite values")
        missing = self._counter.count(chunk)
        return features.reshape(chunk.rows, self._width), missing

    def end(self) -> None:
        """Messages are whole hops."""


class _Counter:
    """The numbers of a stream's messages."""

    def __init__(self) -> None:
        self._next = 0

    def count(self, chunk: Any) -> int:
        """How many messages are missing before this one."""
        sequence: int = chunk.sequence if chunk.HasField("sequence") else self._next
        missing = sequence - self._next
        if missing < 0:
            raise ProtocolError("messages out of order", got=f"sequence {sequence}", expected=f"{self._next} or more")
        self._next = sequence + 1
        return missing


def payload_name(request: pb.DetectRequest | pb.DetectFileRequest) -> str:
    """What a message carries, for messages to people."""
    return request.WhichOneof("payload") or "nothing that this version knows"


def _audio(request: pb.DetectRequest, *, field: str) -> pb.AudioChunk:
    """The audio message in a request, if it carries what was announced and not too much of it."""
    _expect("audio", request)
    chunk = request.audio
    found = chunk.WhichOneof("data")
    if found != field:
        raise ProtocolError(
            "an audio message that does not carry what the stream announced",
            got=found or "nothing that this version knows",
            expected=f"{field} to be set",
        )
    size = len(getattr(chunk, field))
    if size > MAX_AUDIO_BYTES:
        raise ProtocolError(
            "too much audio in one message",
            got=f"{size} bytes",
            expected=f"at most {MAX_AUDIO_BYTES} bytes",
            hint="Send it in several messages",
        )
    return chunk


def _expect(payload: str, request: pb.DetectRequest) -> None:
    if request.WhichOneof("payload") != payload:
        raise ProtocolError(
            f"after its configuration this stream carries {payload}", got=payload_name(request), expected=payload
        )
