"""The states of many streams, one row each, in one array per graph: gathered for a batch and scattered back."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from typing import Final

import numpy as np

from nanowakeword.arrays import Floats

__all__ = ["Slots"]

_FIRST_CAPACITY: Final = 8


class Slots:
    """Rows for the states of streams that run the same graphs. For any number of threads.

    Memory follows the largest number of streams that were open at one time, at most twice.

    Args:
        sizes: float32 values in a row, by graph.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._states = [np.zeros((_FIRST_CAPACITY, size), np.float32) for size in sizes]
        self._capacity = _FIRST_CAPACITY
        self._free: list[int] = []
        self._end = 0
        # Rows move when the arrays grow: nobody may read or write one meanwhile.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Rows in use."""
        return self._end - len(self._free)

    def take(self) -> int:
        """A row for a new stream, all zeros."""
        with self._lock:
            if self._free:
                slot = heapq.heappop(self._free)  # the lowest: rows in use stay close together
                if slot < self._capacity:  # its stream may have left before it was ever judged
                    for states in self._states:
                        states[slot] = 0.0
                return slot
            self._end += 1
            return self._end - 1

    def give_back(self, slot: int) -> None:
        """The stream of this row has ended."""
        with self._lock:
            heapq.heappush(self._free, slot)

    def gather(self, slots: Sequence[int]) -> list[Floats]:
        """Rows of some streams, a copy ``[b, size]`` by graph."""
        with self._lock:
            if self._end > self._capacity:
                self._grow()
            return [states.take(slots, axis=0) for states in self._states]

    def scatter(self, slots: Sequence[int], states: Sequence[Floats]) -> None:
        """Write the rows of some streams, as `gather` gave them; of one stream, not from two threads at a time."""
        with self._lock:
            for kept, new in zip(self._states, states, strict=True):
                kept[slots] = new

    def _grow(self) -> None:
        """Make room; here, on the thread of a batch, since it would hold up the event loop in `take`."""
        capacity = self._capacity
        while capacity < self._end:
            capacity *= 2
        for index, states in enumerate(self._states):
            larger = np.zeros((capacity, states.shape[1]), np.float32)
            larger[: self._capacity] = states
            self._states[index] = larger
        self._capacity = capacity
