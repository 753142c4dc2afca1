"""One utterance out of a stream, with the silence around it, and whether it will do as a recording of a phrase.

A room is listened to for a second; then an utterance begins with the first hop that the energy VAD opens for after half
a second of quiet, and ends before the next half second of quiet. It is given with half a second of the room on either
side, and nothing of it is cut.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.microphone import level_dbfs
from nanowakeword.timing import HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.vad.energy import EnergyVad

__all__ = ["Utterance", "UtteranceFinder"]

_AROUND_SAMPLES: Final = SAMPLE_RATE_HZ // 2
_QUIET_HOPS: Final = 7
_ROOM_HOPS: Final = 13  # the VAD needs 12 to know the room
_SHORTEST_HOPS: Final = 3  # a click of the mouse is no utterance
_LONGEST_HOPS: Final = 50
_LONGEST_S: Final = 3.0
_SHORTEST_S: Final = 0.3
_LOWEST_DBFS: Final = -50.0
_LEAST_SNR_DB: Final = 12.0
_CLIPPED: Final = 32_700
# Single samples at the limit are harmless.
_MOST_CLIPPED: Final = 4


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What was said.

    Attributes:
        samples: int16 ``[n]``, half a second of the room before and after it included.
        seconds: length of what was said.
        is_whole: whether it ended.
    """

    samples: Samples
    seconds: float
    is_whole: bool

    @property
    def level_dbfs(self) -> float:
        """Level of what was said."""
        return level_dbfs(self.samples[_AROUND_SAMPLES:-_AROUND_SAMPLES])

    @property
    def background_dbfs(self) -> float:
        """Level of the room around it."""
        return level_dbfs(np.concatenate([self.samples[:_AROUND_SAMPLES], self.samples[-_AROUND_SAMPLES:]]))

    @property
    def problem(self) -> str:
        """Why it will not do, and what to do; empty if it will."""
        if not self.is_whole or self.seconds > _LONGEST_S:
            return "that went on too long; say the phrase alone, then wait"
        if np.count_nonzero(np.abs(self.samples.astype(np.int32)) >= _CLIPPED) > _MOST_CLIPPED:
            return "too loud, it is clipped; move back, or turn the microphone down"
        if self.level_dbfs < _LOWEST_DBFS:
            return f"too quiet ({self.level_dbfs:.0f} dBFS); come closer, or turn the microphone up"
        if self.level_dbfs - self.background_dbfs < _LEAST_SNR_DB:
            return (
                f"the room is too loud (only {self.level_dbfs - self.background_dbfs:.0f} dB below you); "
                "turn off what makes noise, or come closer"
            )
        if self.seconds < _SHORTEST_S:
            return f"too short ({self.seconds:.1f} s); say the whole phrase"
        return ""


class UtteranceFinder:
    """Takes a stream apart. Call `reset` where audio is missing."""

    def __init__(self) -> None:
        self._vad = EnergyVad()
        self.reset()

    def reset(self) -> None:
        """Forget the room and what was said."""
        self._vad.reset()
        self._rest: Samples = np.zeros(0, np.int16)
        self._before: deque[Samples] = deque(maxlen=_QUIET_HOPS)
        self._word: list[Samples] = []
        self._heard_hops = 0
        self._quiet_hops = 0
        self._restless_hops = 0
        self._last_open = 0

    @property
    def restless_s(self) -> float:
        """Seconds since the room was last quiet enough for an utterance to begin; 0 while it is."""
        return self._restless_hops * HOP_S

    def feed(self, block: Samples) -> list[Utterance]:
        """Take a block.

        Args:
            block: int16 ``[n]``, 16 kHz mono, any ``n``.

        Returns:
            Utterances that ended in it, most often none.
        """
        audio = np.concatenate([self._rest, block])
        whole = len(audio) // HOP_SAMPLES * HOP_SAMPLES
        self._rest = audio[whole:]
        hops = audio[:whole]
        found = [
            self._take(hop, is_open=bool(is_open))
            for hop, is_open in zip(hops.reshape(-1, HOP_SAMPLES), self._vad.feed(hops), strict=True)
        ]
        return [utterance for utterance in found if utterance is not None]

    def _take(self, hop: Samples, *, is_open: bool) -> Utterance | None:
        self._heard_hops += 1
        if self._word:
            self._word.append(hop)
            if is_open:
                self._last_open = len(self._word)
            return self._finish()
        known = self._heard_hops > _ROOM_HOPS
        if is_open and known and self._quiet_hops >= _QUIET_HOPS:
            self._word = [*self._before, hop]
            self._last_open = len(self._word)
            return None
        self._before.append(hop)
        self._quiet_hops = 0 if is_open else self._quiet_hops + 1
        self._restless_hops = 0 if self._quiet_hops >= _QUIET_HOPS or not known else self._restless_hops + 1
        return None

    def _finish(self) -> Utterance | None:
        """The utterance, if it is over."""
        closed = len(self._word) - self._last_open
        hops = self._last_open - _QUIET_HOPS
        if closed < _QUIET_HOPS and hops < _LONGEST_HOPS:
            return None
        start, stop = _QUIET_HOPS * HOP_SAMPLES, self._last_open * HOP_SAMPLES
        audio = np.concatenate(self._word)
        self._before.extend(self._word)
        self._quiet_hops = closed
        self._word = []
        if hops < _SHORTEST_HOPS:
            return None
        return Utterance(
            samples=audio[start - _AROUND_SAMPLES : stop + _AROUND_SAMPLES],
            seconds=hops * HOP_S,
            is_whole=closed >= _QUIET_HOPS,
        )
