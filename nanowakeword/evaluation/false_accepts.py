"""False accepts: what a model hears in audio without its phrase, at any threshold.

Counts are those of `nanowakeword.postfilter`: a hop at or above the threshold, then nothing for the refractory time. So
they never fall when the threshold does, and the lowest threshold for a budget is found by bisection over the scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from nanowakeword.evaluation.scoring import Scores
from nanowakeword.postfilter import refractory_hops
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["FalseAccept", "FalseAccepts"]

# Scores of one piece of audio differ by up to 1e-4 with the way it is cut: a threshold keeps half of that away from the
# score that it must not accept, where there is room.
_MARGIN: Final = 5e-5
_DIGITS: Final = range(4, 17)


@dataclass(frozen=True, kw_only=True)
class FalseAccept:
    """One false accept.

    Attributes:
        name: of the recording that it happened in, or just after.
        at_s: end of the hop that fired, seconds from the recording's start.
        score: highest from that hop until the next false accept may be counted.
    """

    name: str
    at_s: float
    score: float


class FalseAccepts:
    """Counts false accepts.

    Args:
        scores: of recordings without the phrase.
        refractory_s: seconds after a false accept in which none is counted.
    """

    def __init__(self, scores: Scores, *, refractory_s: float) -> None:
        self.hours = scores.hours
        self._streams = scores.streams
        self._distance = refractory_hops(refractory_s)
        # All streams on one line, so far apart that none reaches into the next; doubles, as thresholds are.
        lengths = [len(stream.scores) + self._distance for stream in scores.streams]
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._line = np.full(self._starts[-1], -1.0)
        for start, stream in zip(self._starts, scores.streams, strict=False):
            self._line[start : start + len(stream.scores)] = stream.scores

    def count(self, threshold: float, *, at_most: float = math.inf) -> int:
        """Number of false accepts at a threshold; counting ends once it is above ``at_most``."""
        return len(self._fired(threshold, at_most))

    def events(self, threshold: float) -> list[FalseAccept]:
        """The false accepts at a threshold, in order."""
        return [self._explain(int(hop)) for hop in self._fired(threshold, math.inf)]

    def lowest_threshold(self, max_count: int) -> float | None:
        """Lowest threshold with at most ``max_count`` false accepts, a number of few digits.

        Returns:
            Above 0 and at most 1; None if even 1 accepts more.
        """
        values = np.unique(self._line[self._line > 0.0])
        low, high = 0, len(values)  # values[:low] accept too much as thresholds, values[high:] do not
        while low < high:
            middle = (low + high) // 2
            if self.count(float(values[middle]), at_most=max_count) > max_count:
                low = middle + 1
            else:
                high = middle
        floor = float(values[low - 1]) if low else 0.0
        ceiling = float(values[low]) if low < len(values) else 1.0
        return _between(floor, ceiling) if floor < 1.0 else None

    def _fired(self, threshold: float, at_most: float) -> list[int]:
        """Hops, on the line, that fire."""
        above = np.flatnonzero(self._line >= threshold)
        fired: list[int] = []
        index = 0
        while index < len(above) and len(fired) <= at_most:
            fired.append(int(above[index]))
            index = int(above.searchsorted(fired[-1] + self._distance))
        return fired

    def _explain(self, hop: int) -> FalseAccept:
        number = int(np.searchsorted(self._starts, hop, side="right")) - 1
        end = (hop - int(self._starts[number]) + 1) * HOP_SAMPLES
        before = [place for place in self._streams[number].placements if place.start < end]
        place = before[-1] if before else self._streams[number].placements[0]
        score = float(self._line[hop : hop + self._distance].max())
        return FalseAccept(name=place.name, at_s=(end - place.start) / SAMPLE_RATE_HZ, score=score)


def _between(floor: float, ceiling: float) -> float:
    """The number of fewest digits above ``floor``, by a margin where there is room, and at most ``ceiling``."""
    low = min(floor + _MARGIN, (floor + ceiling) / 2)
    for digits in _DIGITS:
        rounded: float = math.ceil(low * 10**digits) / 10**digits
        if floor < rounded <= ceiling:
            return rounded
    return ceiling
