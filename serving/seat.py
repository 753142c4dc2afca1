"""A stream's place among those that are judged together, and the piece that it waits for, turn by turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from nanowakeword.arrays import Floats
from serving.lane import Lane

__all__ = ["Scores", "Seat"]

Scores = Mapping[str, Floats]
"""By model, float32 ``[k]``."""

_SHORT_HOPS: Final = 4
_TURN_HOPS: Final = 8
_GIVES_WAY_S: Final = 1.0


class Seat:
    """A place in a lane.

    A piece of up to four hops is short: one hop in a turn, so that all short pieces fit together. Others are long:
    eight hops in a turn, which alone is as fast per hop as a batch.

    Args:
        lane: the models.

    Attributes:
        loop: the event loop that it was made in.
        slot: row of the stream's state.
        future: what waits for the scores of the piece; None: there is no piece.
        is_long: whether the piece is.
        due_s: when the next turn should come, on the clock `time.monotonic`; long pieces give way to whatever short
            one came within a second after them.
        since_s: when the piece came.
        lag_s: how long the last piece waited for its first turn, seconds.
        left: whether the stream has ended.
    """

    __slots__ = (
        "_at",
        "_hops",
        "_parts",
        "_piece",
        "due_s",
        "future",
        "is_long",
        "lag_s",
        "lane",
        "left",
        "loop",
        "since_s",
        "slot",
    )

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.loop = asyncio.get_running_loop()
        self.slot = lane.slots.take()
        lane.streams += 1
        self.future: asyncio.Future[Scores] | None = None
        self.lag_s = 0.0
        self.left = False
        self.begin(None, 0)

    def begin(self, piece: Any, hops: int) -> None:
        """Take a piece, int16 ``[1280*k]`` or float32 ``[k*r, f]``, of ``k`` hops."""
        self._piece = piece
        self._hops = hops
        self._at = 0
        self._parts: list[Scores] = []
        self.is_long = hops > _SHORT_HOPS
        self.since_s = self.due_s = time.monotonic()
        if self.is_long:
            self.due_s += _GIVES_WAY_S

    @property
    def turn_hops(self) -> int:
        """Hops in the next turn."""
        return min(_TURN_HOPS, self._hops - self._at) if self.is_long else 1

    def turn(self, started_s: float) -> Any:
        """The part of the piece that is judged next."""
        if not self._at:
            self.lag_s = started_s - self.since_s
            if self._hops == 1:
                return self._piece
        step = self.lane.step
        return self._piece[self._at * step : (self._at + self.turn_hops) * step]

    def add(self, scores: Scores, ended_s: float) -> Scores | None:
        """Take the scores of a turn; those of the whole piece, or None where there are more turns to come."""
        if self._hops == 1:
            return scores
        self._at += self.turn_hops
        self._parts.append(scores)
        if self._at < self._hops and not self.left:
            self.due_s = ended_s + (_GIVES_WAY_S if self.is_long else 0.0)
            return None
        return {name: np.concatenate([part[name] for part in self._parts]) for name in scores}
