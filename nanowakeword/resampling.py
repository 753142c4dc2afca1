"""From what a device or a program gives to what models take: 16 kHz, mono."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import ConfigError, DependencyError
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["ToMono16k", "check_rate"]

_LOWEST_HZ: Final = 4_000
_HIGHEST_HZ: Final = 384_000


class ToMono16k:
    """Converts a stream of interleaved int16 to 16 kHz mono; channels are averaged.

    Args:
        rate_hz: of what comes in.
        channels: of what comes in.

    Raises:
        ConfigError: the rate is no sample rate.
        DependencyError: the rate is another than 16 kHz, and soxr is not installed.
    """

    def __init__(self, rate_hz: int, channels: int = 1) -> None:
        self._rate_hz = check_rate(rate_hz)
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._resampler = None if self._rate_hz == SAMPLE_RATE_HZ else _make_resampler(self._rate_hz)

    def feed(self, samples: Samples, *, last: bool = False) -> Samples:
        """Convert the next samples, int16 ``[n*channels]``; what a filter holds back comes with later ones.

        Args:
            samples: int16, the channels interleaved.
            last: whether the stream ends here, so that nothing need be held back.

        Returns:
            int16 ``[m]``.
        """
        if self._channels == 1 and self._resampler is None:
            return samples
        mono: Floats = samples.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        converted: Samples = np.clip(np.rint(mono), -32_768, 32_767).astype(np.int16)
        return converted


def check_rate(rate_hz: int) -> int:
    """Return a sample rate that makes sense.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int) or not _LOWEST_HZ <= rate_hz <= _HIGHEST_HZ:
        raise ConfigError(
            "bad sample rate", got=repr(rate_hz), expected=f"whole hertz from {_LOWEST_HZ:,} to {_HIGHEST_HZ:,}"
        )
    return rate_hz


def _make_resampler(rate_hz: int) -> Any:
    try:
        import soxr
    except ImportError:
        raise DependencyError(
            f"audio at {rate_hz} Hz needs the package soxr", hint='Install it: pip install "nanowakeword[audio]"'
        ) from None
    return soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
