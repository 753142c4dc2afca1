"""Recordings joined into streams, as a device hears them: one after the other, with nothing reset in between.

Around each recording lies a gap of near-silence, Gaussian noise of a rounded rms of one step of 16 bits, whose length
varies a little so that recordings meet the 80 ms hops at every phase. A long recording is a stream of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError
from nanowakeword.evaluation.recordings import LeftOut, Recording
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["Joined", "Placement", "join"]

_LONG_S: Final = 60.0
_STREAM_S: Final = 240.0
_GAP_RMS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a recording lies in a stream.

    Attributes:
        name: of the recording.
        index: its number among all recordings that were given.
        start: first sample.
        stop: sample after the last.
    """

    name: str
    index: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A stream.

    Attributes:
        number: of the stream.
        audio: int16 ``[n]``, whole hops.
        placements: the recordings in it, in order.
    """

    number: int
    audio: Samples
    placements: tuple[Placement, ...]


def join(
    recordings: Iterable[Recording], *, gap_s: float, seed: int, leave_out: Callable[[LeftOut], None]
) -> Iterator[Joined]:
    """Read recordings and join them, one stream in memory at a time.

    Args:
        recordings: in order; the same recordings and seed give the same streams.
        gap_s: near-silence before each recording and after the last of a stream, in seconds; up to 80 ms more.
        seed: of the gaps.
        leave_out: is told of recordings that cannot be read.
    """
    builder = _Builder(gap_s=gap_s, seed=seed)
    for index, recording in enumerate(recordings):
        try:
            samples = recording.read()
        except AudioError as error:
            leave_out(LeftOut(name=recording.name, reason=str(error)))
            continue
        long = len(samples) > _LONG_S * SAMPLE_RATE_HZ
        if builder.n_samples and (long or builder.n_samples + len(samples) > _STREAM_S * SAMPLE_RATE_HZ):
            yield builder.finish()
        builder.add(samples, name=recording.name, index=index)
        if long:
            yield builder.finish()
    if builder.n_samples:
        yield builder.finish()


class _Builder:
    """The stream that grows."""

    def __init__(self, *, gap_s: float, seed: int) -> None:
        self._gap_samples = round(gap_s * SAMPLE_RATE_HZ)
        self._seed = seed
        self._number = 0
        self._start()

    def _start(self) -> None:
        self.n_samples = 0
        self._parts: list[Samples] = []
        self._placements: list[Placement] = []
        self._rng = np.random.default_rng([self._seed, self._number])

    def add(self, samples: Samples, *, name: str, index: int) -> None:
        self._add_gap(self._gap_samples + int(self._rng.integers(HOP_SAMPLES)))
        start = self.n_samples
        self._append(samples)
        self._placements.append(Placement(name=name, index=index, start=start, stop=self.n_samples))

    def finish(self) -> Joined:
        self._add_gap(self._gap_samples)
        self._add_gap(-self.n_samples % HOP_SAMPLES)
        joined = Joined(number=self._number, audio=np.concatenate(self._parts), placements=tuple(self._placements))
        self._number += 1
        self._start()
        return joined

    def _add_gap(self, n_samples: int) -> None:
        self._append(np.rint(self._rng.normal(scale=_GAP_RMS, size=n_samples)).astype(np.int16))

    def _append(self, samples: Samples) -> None:
        self._parts.append(samples)
        self.n_samples += len(samples)
