"""A FLAC stream to samples, as its bytes come. Needs the extra ``codecs``."""

from __future__ import annotations

from typing import Any, Final

import av
import av.error
import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.timing import SAMPLE_RATE_HZ
from serving.errors import CodecError

__all__ = ["FlacDecoder"]

# The largest block of the streamable subset of RFC 9639 below 48 kHz, in samples of 16 bits, and a frame around it.
_MAX_BLOCK: Final = 4_608
_MAX_FRAME_BYTES: Final = 2 * _MAX_BLOCK + 64
_SYNCS: Final = (b"\xff\xf8", b"\xff\xf9")
# Inside of a frame, bytes that look like the start of the next one are found once in 65,536.
_MOST_FALSE_STARTS: Final = 16
_STREAMINFO: Final = 0
_STREAMINFO_BYTES: Final = 34
_LAST_BLOCK: Final = 0x80
# A message of 64 KiB is 4 s of speech, but of compressed silence it could be hours.
_MOST_FRAMES: Final = 128
_NO_SAMPLES: Final[Samples] = np.zeros(0, np.int16)


class FlacDecoder:
    """A stream cut anywhere.

    FLAC frames do not tell their length. FFmpeg's own parser waits for ten frames before it hands out the first, up to
    3 s; here a frame is tried as soon as its last byte may be there, and FFmpeg's check sum says whether it was.
    """

    def __init__(self) -> None:
        self._header: _FlacHeader | None = _FlacHeader()
        self._codec: Any = None
        self._rest = b""
        self._searched = 0  # bytes of the rest that were searched for the start of another frame
        self._false_starts = 0

    def decode(self, data: bytes) -> Samples:
        """As `Decoder.decode`."""
        self._rest += data
        if self._header is not None:
            self._rest = self._header.read(self._rest)
            if self._header.streaminfo is None or not self._header.complete:
                return _NO_SAMPLES
            self._codec = self._open(self._header.streaminfo)
            self._header = None
        parts: list[Samples] = []
        while (part := self._next_frame()) is not None:
            parts.append(part)
            if len(parts) > _MOST_FRAMES:
                raise CodecError(
                    "too much audio in one message",
                    got=f"more than {_MOST_FRAMES} frames",
                    hint="Send it in several messages",
                )
        return np.concatenate(parts) if parts else _NO_SAMPLES

    def end(self) -> None:
        """As `Decoder.end`."""
        if self._rest or self._header is not None:
            raise CodecError("a FLAC stream that is cut short", got=f"{len(self._rest)} bytes of a part of it")

    def _next_frame(self) -> Samples | None:
        """Decode and take the first frame of the rest; None where it is not complete."""
        rest = self._rest
        if len(rest) < 2:
            return None
        if rest[:2] not in _SYNCS:
            raise CodecError("damaged FLAC", got="bytes between two frames", expected="a frame, RFC 9639")
        while (start := rest.find(rest[:2], max(2, self._searched))) != -1:
            frame = self._try(rest[:start])
            if frame is not None:
                return self._take(frame, start)
            self._searched = start + 1
            self._false_starts += 1
            if self._false_starts > _MOST_FALSE_STARTS:
                raise CodecError("damaged FLAC", got="a frame that does not decode", expected="a frame, RFC 9639")
        self._searched = len(rest) - 1
        # FFmpeg does not mind a byte too many, which may be the first one of the next frame.
        for size in (len(rest) - 1, len(rest)) if rest[-1:] == _SYNCS[0][:1] else (len(rest),):
            frame = self._try(rest[:size])
            if frame is not None:
                return self._take(frame, size)
        if len(rest) > _MAX_FRAME_BYTES:
            raise CodecError(
                "FLAC that does not decode", expected=f"whole frames of at most {_MAX_BLOCK} samples, RFC 9639"
            )
        return None

    def _take(self, frame: Samples, size: int) -> Samples:
        self._rest = self._rest[size:]
        self._searched = self._false_starts = 0
        return frame

    def _try(self, data: bytes) -> Samples | None:
        """The samples of exactly one frame; None where it is none, or a part of one."""
        try:
            frames = self._codec.decode(av.Packet(data))
        except (av.error.FFmpegError, ValueError):
            return None
        if len(frames) != 1:
            return None
        frame = frames[0]
        kind = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
        if kind != (SAMPLE_RATE_HZ, 1, "s16"):
            raise CodecError("FLAC of another kind", got=kind, expected="16000 Hz, mono, 16 bits")
        samples: Samples = frame.to_ndarray()[0]
        return samples

    def _open(self, streaminfo: bytes) -> Any:
        packed = int.from_bytes(streaminfo[10:14], "big")
        kind = (packed >> 12, (packed >> 9 & 7) + 1, (packed >> 4 & 31) + 1)
        if kind != (SAMPLE_RATE_HZ, 1, 16):
            raise CodecError(
                "FLAC of another kind",
                got="{} Hz, {} channels, {} bits".format(*kind),
                expected=f"{SAMPLE_RATE_HZ} Hz, 1 channel, 16 bits",
            )
        if int.from_bytes(streaminfo[2:4], "big") > _MAX_BLOCK:
            raise CodecError(
                "FLAC with large blocks",
                got=f"up to {int.from_bytes(streaminfo[2:4], 'big')} samples",
                expected=f"at most {_MAX_BLOCK}, the streamable subset of RFC 9639",
            )
        codec = av.CodecContext.create("flac", "r")
        codec.extradata = streaminfo
        codec.options = {"err_detect": "crccheck+explode"}
        try:
            codec.open()
        except (av.error.FFmpegError, ValueError):
            raise CodecError("FLAC without its header", expected="a STREAMINFO block that holds, RFC 9639") from None
        return codec


class _FlacHeader:
    """What a FLAC stream begins with: a mark and blocks of metadata, of which only the first one matters.

    Attributes:
        streaminfo: that first block; None before it came.
    """

    def __init__(self) -> None:
        self.streaminfo: bytes | None = None
        self._marked = False
        self._last = False
        self._skip = 0

    @property
    def complete(self) -> bool:
        """Whether frames follow."""
        return self._last and not self._skip

    def read(self, data: bytes) -> bytes:
        """Read as much as there is, and return what is left: the beginning of a part that is not whole, or frames."""
        if not self._marked:
            if len(data) < 4:
                return data
            if data[:4] != b"fLaC":
                raise CodecError("a stream that is not FLAC", got=f"it begins with {data[:4]!r}", expected="b'fLaC'")
            self._marked, data = True, data[4:]
        while True:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
            if self._skip or self._last:
                return data
            if len(data) < 4:
                return data
            kind, size = data[0], int.from_bytes(data[1:4], "big")
            if self.streaminfo is None:
                if (kind & ~_LAST_BLOCK, size) != (_STREAMINFO, _STREAMINFO_BYTES):
                    raise CodecError("FLAC without its header", expected="a STREAMINFO block of 34 bytes, RFC 9639")
                if len(data) < 4 + size:
                    return data
                self.streaminfo = data[4 : 4 + size]
            self._skip, data = size, data[4:]
            self._last = bool(kind & _LAST_BLOCK)
