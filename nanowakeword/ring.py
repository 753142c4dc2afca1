"""The most recent audio of a stream, by the number of its hops."""

from __future__ import annotations

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["HopRing"]


class HopRing:
    """Keeps the last hops of a stream in constant memory.

    Args:
        capacity_hops: hops that are surely kept, 1 or more; up to twice as many are.
    """

    def __init__(self, capacity_hops: int) -> None:
        self._capacity = capacity_hops * HOP_SAMPLES
        # Twice the capacity: what is kept lies in one piece, and is moved once per capacity and not once per hop.
        self._audio: Samples = np.zeros(2 * self._capacity, np.int16)
        self.clear()

    @property
    def hops(self) -> int:
        """Hops appended so far: the number of the next one."""
        return self._hops

    def clear(self) -> None:
        """Forget everything; the next hop is number 0."""
        self._filled = 0
        self._hops = 0

    def append(self, audio: Samples) -> None:
        """Add whole hops, int16 ``[1280*k]``."""
        self._hops += len(audio) // HOP_SAMPLES
        if len(audio) >= self._capacity:
            self._audio[: self._capacity] = audio[-self._capacity :]
            self._filled = self._capacity
            return
        if self._filled + len(audio) > len(self._audio):
            kept = self._capacity - len(audio)
            self._audio[:kept] = self._audio[self._filled - kept : self._filled]
            self._filled = kept
        self._audio[self._filled : self._filled + len(audio)] = audio
        self._filled += len(audio)

    def between(self, first_hop: int, end_hop: int) -> Samples:
        """Audio of the hops ``first_hop`` to ``end_hop`` - 1, int16 ``[1280*n]``, a copy.

        Of hops that are no longer kept, or never were, nothing is returned.
        """
        oldest = self._hops - self._filled // HOP_SAMPLES
        start = max(first_hop, oldest) - oldest
        end = min(end_hop, self._hops) - oldest
        return self._audio[start * HOP_SAMPLES : max(start, end) * HOP_SAMPLES].copy()
