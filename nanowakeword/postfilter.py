"""From scores to events: smoothing, threshold, patience, refractory time and hysteresis.

The score of a hop is *smoothed*: it is the mean of the last ``smoothing`` scores, of fewer where a stream begins. A hop
*qualifies* when it and the ``patience - 1`` hops before it are all at or above the threshold. An event is the first hop
that qualifies; after it, nothing fires for the refractory time and, with hysteresis, until a score has fallen below
``rearm_below``. Two properties follow, and measurements rely on them: a higher threshold never gives more events,
whatever the other settings are; and without hysteresis a model that is stuck at a high score is counted again and again
instead of once.
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
    "MAX_SMOOTHING",
    "REFRACTORY_S",
    "Event",
    "PostFilter",
    "check_patience",
    "check_rearm",
    "check_refractory",
    "check_smoothing",
    "check_threshold",
    "refractory_hops",
]

REFRACTORY_S: Final = 1.0
MAX_PATIENCE: Final = 100  # 8 s: longer than any phrase, and a bound for what a filter remembers
MAX_SMOOTHING: Final = 100


class Event(NamedTuple):
    """An event on the clock of hops.

    Attributes:
        hop: the hop that fired, counted from 0.
        score: highest score of the hops that fired it, smoothed where smoothing is asked for.
    """

    hop: int
    score: float


class PostFilter:
    """Finds events in the scores of one stream, however the stream is cut.

    Settings come with every push and may change between two: the smoothing window fills from the first push that asks
    for smoothing, and hysteresis holds after events that fired while it was on. They are not checked here, twelve times
    a second, but by the functions ``check_*`` where they enter.
    """

    def __init__(self) -> None:
        self._hops = 0
        self._armed_at = 0
        # Whether a score has fallen below `rearm_below` since the last event.
        self._fallen = True
        # Scores of the newest hops in a row at or above the threshold.
        self._run: deque[float] = deque(maxlen=MAX_PATIENCE)
        # The last scores before hop `_recent_end`, for smoothing; worth nothing when that is not the next hop.
        self._recent: deque[float] = deque(maxlen=MAX_SMOOTHING)
        self._recent_end = 0

    @property
    def hops(self) -> int:
        """Hops seen so far, those skipped included."""
        return self._hops

    def push(
        self,
        scores: Floats,
        *,
        threshold: float,
        smoothing: int = 1,
        patience: int = 1,
        refractory_s: float = REFRACTORY_S,
        rearm_below: float | None = None,
    ) -> list[Event]:
        """Take the next scores and return the events in them.

        Args:
            scores: float32 ``[k]``.
            threshold: score at or above which a hop counts.
            smoothing: hops in the moving average that takes the place of a score; 1: none.
            patience: hops in a row that must count.
            refractory_s: seconds after an event in which nothing fires.
            rearm_below: after an event nothing fires, either, until a score was below this one, which is not above the
                threshold. The fall may come within the refractory time. None: no such condition.
        """
        first, count = self._hops, len(scores)
        if not count:
            return []
        self._hops = first + count
        if smoothing == 1:
            # This is where a program is for years: one score, and it is low. `item` takes a twentieth of `max`.
            if (scores.item() if count == 1 else float(scores.max())) < threshold:
                self._run.clear()
                if rearm_below is not None and not self._fallen:
                    self._fallen = float(scores.min()) < rearm_below
                return []
            values = scores.tolist()
        else:
            values = self._smooth(scores.tolist(), first=first, window=smoothing)
        events: list[Event] = []
        for hop, score in enumerate(values, start=first):
            if score < threshold:
                self._run.clear()
                if rearm_below is not None and score < rearm_below:
                    self._fallen = True
                continue
            self._run.append(score)
            if hop < self._armed_at or len(self._run) < patience or not (self._fallen or rearm_below is None):
                continue
            events.append(Event(hop, max(list(self._run)[-patience:])))
            self._armed_at = hop + refractory_hops(refractory_s)
            self._fallen = rearm_below is None
        return events

    def skip(self, hops: int) -> None:
        """Let hops pass that were never judged, because the model slept or its server was away.

        The clock goes on, and the refractory time with it; a run of patience ends; smoothing begins anew. For
        hysteresis a gap counts as a fall: what kept the score up before need not be what raises it after.

        Args:
            hops: how many, 0 or more.
        """
        if hops:
            self._hops += hops
            self._run.clear()
            self._fallen = True

    def _smooth(self, scores: list[float], *, first: int, window: int) -> list[float]:
        """Moving averages; each is a sum of its own, so that cuts and earlier scores leave no trace of rounding."""
        if self._recent_end != first:
            self._recent.clear()
        known = list(self._recent)[1 - window :]
        values = known + scores
        self._recent.extend(scores)
        self._recent_end = first + len(scores)
        ends = range(len(known) + 1, len(values) + 1)
        return [sum(values[max(0, end - window) : end]) / min(window, end) for end in ends]


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
    return _check_hops(patience, name="patience", highest=MAX_PATIENCE)


def check_smoothing(smoothing: int) -> int:
    """Return a smoothing that makes sense.

    Raises:
        ConfigError: it is no whole number from 1 to `MAX_SMOOTHING`.
    """
    return _check_hops(smoothing, name="smoothing", highest=MAX_SMOOTHING)


def check_refractory(refractory_s: float) -> float:
    """Return a refractory time that makes sense.

    Raises:
        ConfigError: it is negative or not finite.
    """
    if not _is_number(refractory_s) or not 0.0 <= refractory_s < math.inf:
        raise ConfigError("bad refractory time", got=repr(refractory_s), expected="0 seconds or more")
    return float(refractory_s)


def check_rearm(rearm_below: float, *, threshold: float) -> float:
    """Return a score for hysteresis that makes sense.

    Raises:
        ConfigError: it is not above 0, or it is above the threshold, so that a score could fall and fire at once.
    """
    if not _is_number(rearm_below) or not 0.0 < rearm_below <= threshold:
        raise ConfigError(
            "bad rearm_below",
            got=repr(rearm_below),
            expected=f"a number above 0 and at most the threshold, {threshold:g}",
        )
    return float(rearm_below)


def _check_hops(value: int, *, name: str, highest: int) -> int:
    if not _is_number(value) or value != int(value) or not 1 <= value <= highest:
        raise ConfigError(f"bad {name}", got=repr(value), expected=f"1 to {highest} hops of 80 ms")
    return int(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
