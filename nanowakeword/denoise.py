"""Noise reduction before any model: WebRTC's noise suppressor, through the package webrtc-noise-gain.

https://github.com/OHF-Voice/webrtc-noise-gain

It works on frames of 10 ms, eight to a hop, so nothing is left over between hops, and delays the audio by 96 samples,
6 ms. It removes what is below 100 Hz, too. Its automatic gain is off: a model has heard every level.

It is for people who listen to what was recorded, and for models that never heard noise. A model trained on noisy
speech, as those of this project are, gains nothing that could be measured on real recordings, and loses words behind
the strong levels: benchmarks/denoise.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, DependencyError
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["DELAY_SAMPLES", "Denoiser"]

DELAY_SAMPLES: Final = 96
"""Later by this many samples comes out what went in: 6 ms."""
_FRAME_BYTES: Final = SAMPLE_RATE_HZ // 100 * 2
_NO_GAIN: Final = 0
_LEVELS: Final = range(1, 5)


class Denoiser:
    """Takes steady noise out of one stream.

    Args:
        level: 1 to 4, how much: stationary noise falls by about 6, 12, 18 and 21 dB.

    Raises:
        ConfigError: there is no such level.
        DependencyError: the extra ``denoise`` is not installed.
    """

    def __init__(self, *, level: int = 1) -> None:
        if level not in _LEVELS:
            raise ConfigError("level of noise reduction", got=repr(level), expected="1, 2, 3 or 4")
        self.level = level
        self._new_processor = _import_processor()
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        # A new processor takes 0.1 ms, which a reset should not: it is made when there is audio for it.
        self._processor: Any = None

    def feed(self, hops: Samples) -> Samples:
        """Take int16 ``[1280*k]``, ``k >= 0``, and return as much, with less noise, `DELAY_SAMPLES` later."""
        if self._processor is None:
            self._processor = self._new_processor(_NO_GAIN, self.level)
        noisy = hops.tobytes()
        frames = (noisy[start : start + _FRAME_BYTES] for start in range(0, len(noisy), _FRAME_BYTES))
        clean = bytearray().join(self._processor.Process10ms(frame).audio for frame in frames)
        return np.frombuffer(clean, np.int16)


def _import_processor() -> Callable[[int, int], Any]:
    try:
        from webrtc_noise_gain import AudioProcessor
    except (ImportError, OSError) as error:  # OSError: the package is there, a library that it loads is not
        raise DependencyError(
            "noise reduction needs the package webrtc-noise-gain",
            got=" ".join(str(error).split()),
            hint='Install it: pip install "nanowakeword[denoise]"',
        ) from None
    processor: type[Any] = AudioProcessor
    return processor
