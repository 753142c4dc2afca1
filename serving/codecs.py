"""Encoded audio of a stream to samples: Opus packets and FLAC streams, decoded as they come.

Needs the extra ``codecs``. Only these two decoders of FFmpeg are ever opened, whatever the bytes claim to be.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

try:
    import av
    import av.error

    from serving.flac import FlacDecoder
except ImportError:
    av = None  # type: ignore[assignment]

from nanowakeword.arrays import Samples
from nanowakeword.timing import SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.errors import CodecError, UnsupportedError

__all__ = ["Decoder", "known_encodings", "make_decoder"]

_OPUS_RATE_HZ: Final = 48_000  # what FFmpeg decodes it to, whatever it was encoded from
_NO_SAMPLES: Final[Samples] = np.zeros(0, np.int16)


class Decoder(Protocol):
    """Decodes one stream. Used by one thread at a time."""

    def decode(self, data: bytes) -> Samples:
        """Samples that the next bytes complete, int16 ``[n]`` at 16 kHz, ``n >= 0``.

        Raises:
            CodecError: the bytes are damaged, or hold another kind of audio, or far too much of it.
        """

    def end(self) -> None:
        """The stream is over.

        Raises:
            CodecError: it ends in the middle of something.
        """


def known_encodings() -> list[pb.AudioEncoding]:
    """The encodings that this server decodes."""
    found = [pb.AUDIO_ENCODING_PCM_S16LE]
    if av is not None:
        found += [pb.AUDIO_ENCODING_OPUS, pb.AUDIO_ENCODING_FLAC]
    return found


def make_decoder(encoding: pb.AudioEncoding) -> Decoder:
    """A decoder for a stream of Opus or FLAC.

    Raises:
        UnsupportedError: the extra ``codecs`` is not installed.
    """
    if av is None:
        raise UnsupportedError(
            "this server decodes no compressed audio",
            got=pb.AudioEncoding.Name(encoding),
            expected="AUDIO_ENCODING_PCM_S16LE",
            hint='Send samples, or install on the server: pip install "nanowakeword[codecs]"',
        )
    return _Opus() if encoding == pb.AUDIO_ENCODING_OPUS else FlacDecoder()


class _Opus:
    """One packet at a time."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("opus", "r")
        self._codec.sample_rate = _OPUS_RATE_HZ
        self._codec.layout = "mono"
        self._codec.open()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)

    def decode(self, data: bytes) -> Samples:
        if not data:
            raise CodecError("an Opus packet without bytes", expected="one packet, RFC 6716")
        try:
            frames = self._codec.decode(av.Packet(data))
            parts = [part.to_ndarray()[0] for frame in frames for part in self._resampler.resample(frame)]
        except (av.error.FFmpegError, ValueError):
            raise CodecError(
                "bytes that are no Opus packet", got=f"{len(data)} bytes", expected="one packet, RFC 6716"
            ) from None
        return _join(parts)

    def end(self) -> None:
        """Packets are whole. A fraction of a millisecond stays in the resampler's filter."""


def _join(parts: list[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else _NO_SAMPLES
