"""Audio as a Wyoming client announces it, of any rate, width and number of channels, to what models take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.resampling import ToMono16k, check_rate
from serving.errors import ProtocolError

__all__ = ["AudioFormat", "ToModels"]

_MOST_CHANNELS: Final = 16
# Converting happens in the event loop: in pieces of this length other streams do not notice.
_PIECE_S: Final = 0.5
_NOTHING: Final[Samples] = np.zeros(0, np.int16)


class AudioFormat(NamedTuple):
    """What the bytes of audio are.

    Attributes:
        rate_hz: frames in a second.
        width: bytes in a sample: 1 (unsigned), or 2, 3 or 4 (signed, little-endian).
        channels: samples in a frame.
    """

    rate_hz: int
    width: int
    channels: int

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The format that an event announces.

        Raises:
            ConfigError: the rate is no sample rate.
            ProtocolError: the width or the number of channels is none.
        """
        return cls(
            check_rate(data.get("rate")),  # type: ignore[arg-type]
            _read_count(data, "width", most=4),
            _read_count(data, "channels", most=_MOST_CHANNELS),
        )

    @property
    def frame_bytes(self) -> int:
        """Bytes of all channels at one time."""
        return self.width * self.channels


class ToModels:
    """Converts one stream to 16 kHz mono.

    Args:
        audio: what comes in.

    Raises:
        DependencyError: the rate is another than 16 kHz, and soxr is not installed.
    """

    def __init__(self, audio: AudioFormat) -> None:
        self.format = audio
        self._convert = ToMono16k(audio.rate_hz, audio.channels)

    def feed(self, data: bytes) -> Iterator[Samples]:
        """Convert whole frames, in pieces of at most half a second.

        Raises:
            ProtocolError: the last frame is not whole.
        """
        size = self.format.frame_bytes
        if len(data) % size:
            raise ProtocolError(
                "a part of a frame in an event of audio", got=f"{len(data)} bytes", expected=f"a multiple of {size}"
            )
        step = max(1, int(self.format.rate_hz * _PIECE_S)) * size
        for start in range(0, len(data), step):
            yield self._convert.feed(_to_int16(data[start : start + step], self.format.width))

    def finish(self) -> Samples:
        """What a filter held back, at the end of the stream."""
        return self._convert.feed(_NOTHING, last=True)


def _to_int16(data: bytes, width: int) -> Samples:
    """The upper two bytes of each sample."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    if width == 2:
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    upper = np.frombuffer(data, np.uint8).reshape(-1, width)[:, -2:]
    return np.ascontiguousarray(upper).view("<i2")[:, 0].astype(np.int16, copy=False)


def _read_count(data: Mapping[str, Any], key: str, *, most: int) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ProtocolError(f"bad {key} of audio", got=repr(value)[:40], expected=f"1 to {most}")
    return value
