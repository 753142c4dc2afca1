"""Judges the audio of many streams on threads of its own: what waits together runs together.

A stream alone never waits for company. A thread that is free takes whatever short pieces wait at that moment, up to the
largest batch, unless a batch has begun a moment ago: so batches grow with the load and only with it. Long pieces, such
as parts of a file, are judged turn by turn and give way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from serving.lane import Lane
from serving.seat import Scores, Seat

__all__ = ["BatchMetrics", "Batcher", "Load"]

_LOG: Final = logging.getLogger(__name__)
# Batches of short pieces that are not full begin so far apart: under load they are larger, and cost less per stream,
# than if each took the two or three pieces that came during the one before. (A gate's hop takes 55 us alone and 20 in
# a batch; waking a thread takes another 30.)
_PACE_S: Final = 0.004

Outcome = Scores | Exception


class BatchMetrics(Protocol):
    """Takes figures of batches, from any thread."""

    def batch(self, model: str, size: int, wait_s: float, infer_s: float) -> None:
        """A batch ran: its models, its streams, how long the first of them waited, how long the run took."""


@dataclass(slots=True)
class Load:
    """What was done in a while.

    Attributes:
        pieces: pieces judged.
        cost_s: processor time that judging them should have taken, seconds.
        wait_s: longest time that a short piece waited, seconds.
    """

    pieces: int = 0
    cost_s: float = 0.0
    wait_s: float = 0.0


class Batcher:
    """Threads that judge; all seats are of one event loop.

    Args:
        threads: how many, each running one batch at a time.
        max_batch: most streams in one run; 1: each alone.
        metrics: gets figures of each batch; None: nobody does.
    """

    def __init__(self, *, threads: int, max_batch: int, metrics: BatchMetrics | None) -> None:
        self._max_batch = max_batch
        self._metrics = metrics
        self._short: dict[Lane, deque[Seat]] = {}  # no lane without a seat that waits
        self._long: deque[Seat] = deque()
        self._idle = 0
        self._next_s = 0.0
        self._closed = False
        self._changed = threading.Condition(threading.Lock())
        self._load = Load()
        self._threads = [
            threading.Thread(target=self._work, name=f"inference {number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, seat: Seat, piece: Any) -> asyncio.Future[Scores]:
        """Have a piece judged; one of a seat at a time. Called in the event loop.

        Args:
            seat: the stream.
            piece: whole hops, int16 ``[1280*k]`` or float32 ``[k*r, f]``, ``k >= 1``.

        Returns:
            By model, scores float32 ``[k]``; or what the run raised, of which no other stream notices.
        """
        seat.future = future = seat.loop.create_future()
        seat.begin(piece, len(piece) // seat.lane.step)
        with self._changed:
            self._queue(seat)
            if self._idle or seat.is_long:
                self._changed.notify()
        return future

    def leave(self, seat: Seat) -> None:
        """The stream has ended; called in the event loop, once. What is being judged is forgotten when it is done."""
        seat.left = True
        seat.lane.streams -= 1
        if seat.future is None:
            seat.lane.slots.give_back(seat.slot)

    def take_load(self) -> Load:
        """What was done since the last call; called in the event loop."""
        load, self._load = self._load, Load()
        return load

    def close(self) -> None:
        """End the threads after what they are doing now."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _queue(self, seat: Seat) -> None:
        if seat.is_long:
            self._long.append(seat)
        elif (waiting := self._short.get(seat.lane)) is not None:
            waiting.append(seat)
        else:
            self._short[seat.lane] = deque([seat])

    def _work(self) -> None:
        while batch := self._next():
            try:
                self._run(batch)
            except Exception as error:
                _LOG.exception("a batch was lost")
                self._hand_over(batch[0].loop, [(seat, error) for seat in batch], Load())

    def _next(self) -> list[Seat]:
        """Wait for something to do, and take what is due first with all that can run with it; empty: the end."""
        with self._changed:
            while not self._closed:
                now_s = time.monotonic()
                lane = min(self._short, key=lambda lane: self._short[lane][0].due_s, default=None)
                early = now_s < self._next_s and (lane is None or len(self._short[lane]) < self._max_batch)
                if self._long and (lane is None or early or self._long[0].due_s < self._short[lane][0].due_s):
                    return [self._long.popleft()]
                if early:  # also where nothing waits: under load something soon does, and need not wake a thread
                    self._changed.wait(self._next_s - now_s)
                    continue
                if lane is not None:
                    self._next_s = now_s + _PACE_S
                    waiting = self._short[lane]
                    if len(waiting) > self._max_batch:
                        return [waiting.popleft() for _ in range(self._max_batch)]
                    return list(self._short.pop(lane))
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
        return []

    def _run(self, batch: Sequence[Seat]) -> None:
        """Judge the next turn of some seats of one lane, and hand over the pieces that this completes, all at once."""
        first = batch[0]
        started_s = time.monotonic()
        hops = len(batch) * first.turn_hops
        outcomes = list(_judge(batch, [seat.turn(started_s) for seat in batch]))
        lag_s = first.lag_s
        ended_s = time.monotonic()
        done: list[tuple[Seat, Outcome]] = []
        again: list[Seat] = []
        for seat, outcome in zip(batch, outcomes, strict=True):
            whole = outcome if isinstance(outcome, Exception) else seat.add(outcome, ended_s)
            if whole is None:
                again.append(seat)
            else:
                done.append((seat, whole))
        load = Load(len(done), hops * first.lane.cost_s, 0.0 if first.is_long else lag_s)
        if self._metrics is not None:
            self._metrics.batch(first.lane.name, len(batch), lag_s, ended_s - started_s)
        self._hand_over(first.loop, done, load)
        if again:
            with self._changed:
                for seat in again:
                    self._queue(seat)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, done: Sequence[tuple[Seat, Outcome]], load: Load) -> None:
        """Have the event loop deliver what came out, in one call for the whole batch."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._deliver, done, load)

    def _deliver(self, done: Sequence[tuple[Seat, Outcome]], load: Load) -> None:
        """Tell the streams; runs in the event loop, once per batch."""
        self._load.pieces += load.pieces
        self._load.cost_s += load.cost_s
        self._load.wait_s = max(self._load.wait_s, load.wait_s)
        for seat, outcome in done:
            future, seat.future = seat.future, None
            if seat.left:
                seat.lane.slots.give_back(seat.slot)
            if future is None or future.done():
                continue  # the stream was cancelled
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _judge(batch: Sequence[Seat], pieces: Sequence[Any]) -> Iterator[Outcome]:
    """Scores of some seats of one lane; where they cannot be judged together, each alone, so that only one fails."""
    try:
        scores = batch[0].lane.run(pieces, [seat.slot for seat in batch])
    except Exception as error:
        if len(batch) == 1:
            yield error
        else:
            for seat, piece in zip(batch, pieces, strict=True):
                yield from _judge([seat], [piece])
        return
    for index in range(len(batch)):
        yield {name: values[index] for name, values in scores.items()}
