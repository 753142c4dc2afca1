"""From scores to events: threshold, patience and refractory time.

A hop *qualifies* when it and the ``patience - 1`` hops before it are all at or above the threshold. An event is the
first hop that qualifies; after it, nothing fires for the refractory time. Two properties follow, and measurements rely
on them: a higher threshold never gives more events, and a model that is stuck at a high score is counted again and
again instead of once.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, NamedTuple

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_S

__all__ = [
    "MAX_PATIENCE",
    "REFRACTORY_S",
    "Event",
    "PostFilter",
    "check_patience",
    "check_refractory",
    "check_threshold",
    "refractory_hops",
]

REFRACTORY_S: Final = 1.0
MAX_PATIENCE: Final = 100  # 8 s: longer than any phrase, and a bound for what a filter remembers


class Event(NamedTuple):
    """An event on the clock of hops.

    Attributes:
        hop: the hop that fired, counted from 0.
        score: highest score of the hops that fired it.
    """

    hop: int
    score: float


class PostFilter:
    """Finds events in the scores of one stream, however the stream is cut."""

    def __init__(self) -> None:
        self._hops = 0
        self._armed_at = 0
        # Scores of the newest hops in a row at or above the threshold.
        self._run: deque[float] = deque(maxlen=MAX_PATIENCE)

    @property
    def hops(self) -> int:
        """Hops seen so far."""
        return self._hops

    def push(
        self, scores: Floats, *, threshold: float, patience: int = 1, refractory_s: float = REFRACTORY_S
    ) -> list[Event]:
        """Take the next scores and return the events in them.

        Args:
            scores: float32 ``[k]``.
            threshold: score at or above which a hop counts.
            patience: hops in a row that must count.
            refractory_s: seconds after an event in which nothing fires.
        """
        first, self._hops = self._hops, self._hops + len(scores)
        if not len(scores) or float(scores.max()) < threshold:
            if len(scores):
                self._run.clear()
            return []
        events: list[Event] = []
        for hop, score in enumerate(scores.tolist(), start=first):
            if score < threshold:
                self._run.clear()
                continue
            self._run.append(score)
            if hop >= self._armed_at and len(self._run) >= patience:
                events.append(Event(hop, max(list(self._run)[-patience:])))
                self._armed_at = hop + refractory_hops(refractory_s)
        return events


def refractory_hops(refractory_s: float) -> int:
    """Distance in hops at which the next event may follow: the first that lasts ``refractory_s``, at least 1."""
    return max(1, math.ceil(refractory_s / HOP_S - 1e-9))


def check_threshold(threshold: float) -> float:
    """Return a threshold that makes sense.

    Raises:
        ConfigError: it is not above 0 and at most 1.
    """
    if not _is_number(threshold) or not 0.0 < threshold <= 1.0:
        raise ConfigError("bad threshold", got=repr(threshold), expected="a number above 0 and at most 1")
    return float(threshold)


def check_patience(patience: int) -> int:
    """Return a patience that makes sense.

    Raises:
        ConfigError: it is no whole number from 1 to `MAX_PATIENCE`.
    """
    if not _is_number(patience) or patience != int(patience) or not 1 <= patience <= MAX_PATIENCE:
        raise ConfigError("bad patience", got=repr(patience), expected=f"1 to {MAX_PATIENCE} hops of 80 ms")
    return int(patience)


def check_refractory(refractory_s: float) -> float:
    """Return a refractory time that makes sense.

    Raises:
        ConfigError: it is negative or not finite.
    """
    if not _is_number(refractory_s) or not 0.0 <= refractory_s < math.inf:
        raise ConfigError("bad refractory time", got=repr(refractory_s), expected="0 seconds or more")
    return float(refractory_s)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
