"""How many streams the server takes: as many as it can judge in time, told before quality drops and not after.

Two lines of defence. The first counts: a hop costs what its models were measured to take when they were loaded, and
what carries a message in and out; the sum over open streams stays below `_SHARE` of the processors. What the process
really uses corrects that sum, since TLS, codecs and the machine itself change it. The second looks at the queue: while
even the luckiest audio of the last second waited for more than `_STANDING_S`, the queue does not empty and nobody new
comes in. (The idea is CoDel's, RFC 8289: a queue that empties now and then is a burst, one that never does is load.)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from nanowakeword.timing import HOP_S
from serving.errors import OverloadError

__all__ = ["PULSE_S", "Capacity", "measure_cost_s"]

PULSE_S: Final = 0.25
# Processor time to read a message of one hop, and to write its answer: benchmarks/server.py, one core of 2.5 GHz.
_MESSAGE_S: Final = 150e-6
_SHARE: Final = 0.85
_STANDING_S: Final = 0.08
_PULSES: Final = 4
# The correction: how fast it follows, how far it goes, and the load below which it says nothing about a full server.
_FOLLOW: Final = 0.1
_LEAST_CORRECTION: Final = 0.25
_MOST_CORRECTION: Final = 8.0
_LEAST_LOAD: Final = 0.1


def measure_cost_s(run: Callable[[], object], *, hops: int) -> float:
    """Processor time per hop, seconds: the best of a few runs, which is the one that nobody disturbed.

    Args:
        run: judges.
        hops: how many in one run.
    """
    run()
    taken = []
    for _ in range(5):
        started = time.thread_time()
        run()
        taken.append(time.thread_time() - started)
    return min(taken) / hops


class Capacity:
    """Counts the open streams of this process and what they cost; used in the event loop.

    Args:
        threads: inference threads.
        cores: processors of this process.
        max_streams: take this many, whatever they cost; None: as many as there is room for.
    """

    def __init__(self, *, threads: int, cores: float, max_streams: int | None) -> None:
        self._threads = threads
        self._cores = min(cores, threads + 1.0)
        self._max_streams = max_streams
        self._streams = 0
        self._cost_s = 0.0
        self._correction = 1.0
        self._delays_s: deque[float] = deque(maxlen=_PULSES)

    @property
    def streams(self) -> int:
        """Streams open now."""
        return self._streams

    def admit(self, cost_s: float) -> None:
        """Let a stream in.

        Args:
            cost_s: processor time that a hop of it takes to judge, seconds.

        Raises:
            OverloadError: there is no room for it.
        """
        if self._max_streams is not None:
            if self._streams >= self._max_streams:
                raise OverloadError("the server is full", got=f"{self._streams} streams", hint="Try again later")
        elif self._streams and (self._is_late() or not self._fits(cost_s)):
            raise OverloadError(
                "the server is full",
                got=f"{self._streams} streams, as many as it can judge in time",
                hint="Try again later, or another server",
            )
        self._streams += 1
        self._cost_s += cost_s

    def release(self, cost_s: float) -> None:
        """A stream that was let in has ended."""
        self._streams -= 1
        self._cost_s = self._cost_s - cost_s if self._streams else 0.0  # no rounding is kept for years

    def observe(self, *, pieces: int, cost_s: float, used_s: float, delay_s: float) -> None:
        """What happened in the last `PULSE_S`.

        Args:
            pieces: messages whose audio was judged; of a file, hops come many to a piece.
            cost_s: processor time that judging them should have taken, seconds.
            used_s: processor time that the process took, seconds.
            delay_s: how long audio waited, seconds.
        """
        self._delays_s.append(delay_s)
        expected_s = cost_s + pieces * _MESSAGE_S
        if expected_s > _LEAST_LOAD * PULSE_S:
            seen = min(max(used_s / expected_s, _LEAST_CORRECTION), _MOST_CORRECTION)
            self._correction += _FOLLOW * (seen - self._correction)

    def quieten(self) -> None:
        """Nothing is open: old delays say nothing about the next stream."""
        self._delays_s.clear()

    def _is_late(self) -> bool:
        return len(self._delays_s) == _PULSES and min(self._delays_s) > _STANDING_S

    def _fits(self, cost_s: float) -> bool:
        judging_s = self._correction * (self._cost_s + cost_s)
        carrying_s = self._correction * (self._streams + 1) * _MESSAGE_S  # on one thread, the event loop's
        limit_s = _SHARE * HOP_S
        return (
            judging_s <= limit_s * self._threads
            and carrying_s <= limit_s
            and judging_s + carrying_s <= limit_s * self._cores
        )
