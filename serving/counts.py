"""How many streams each worker has open; when a worker dies, its column is cleared."""

from __future__ import annotations

import hashlib
import mmap
import struct
from contextlib import AbstractContextManager
from typing import Any, Final

__all__ = ["MAX_WORKERS", "Counts"]

MAX_WORKERS: Final = 64
_KEY_BYTES: Final = 16
_ROWS: Final = 8
_ROW: Final = struct.Struct(f"={_KEY_BYTES}s{MAX_WORKERS}I")
_BUCKETS: Final = 512


class Counts:
    """How many are open, by key and worker.

    Args:
        memory: shared by all processes.
        lock: held while it is written to.
        salt: as for `serving.marks.Marks`.
        start: where in the memory it begins.
        worker: number of this one.

    Attributes:
        SIZE: bytes of memory that it takes.
    """

    SIZE: Final = _ROW.size * _ROWS * _BUCKETS

    def __init__(
        self, memory: mmap.mmap, lock: AbstractContextManager[Any], *, salt: bytes, start: int, worker: int
    ) -> None:
        self._memory = memory
        self._lock = lock
        self._salt = salt
        self._start = start
        self.worker = worker

    def total(self, key: str) -> int:
        """How many of a key are open, over all workers."""
        place = self._find(key)[0]
        return 0 if place is None else sum(_ROW.unpack_from(self._memory, place)[1:])

    def enter(self, key: str, *, most: int | None) -> bool:
        """Count one more; False, and nothing counted, where there are ``most`` already, or no room for a new key."""
        with self._lock:
            place, digest = self._find(key, free=True)
            if place is None:
                return False
            counts = list(_ROW.unpack_from(self._memory, place)[1:])
            if most is not None and sum(counts) >= most:
                return False
            counts[self.worker] += 1
            _ROW.pack_into(self._memory, place, digest, *counts)
            return True

    def leave(self, key: str) -> None:
        """Count one less."""
        with self._lock:
            place, digest = self._find(key)
            if place is not None:
                counts = list(_ROW.unpack_from(self._memory, place)[1:])
                counts[self.worker] = max(0, counts[self.worker] - 1)
                _ROW.pack_into(self._memory, place, digest, *counts)

    def clear(self, worker: int) -> None:
        """Forget all of one worker: it has ended, however it did."""
        with self._lock:
            for row in range(_ROWS * _BUCKETS):
                place = self._start + row * _ROW.size + _KEY_BYTES + 4 * worker
                if self._memory[place : place + 4] != b"\0\0\0\0":
                    self._memory[place : place + 4] = b"\0\0\0\0"

    def _find(self, key: str, *, free: bool = False) -> tuple[int | None, bytes]:
        """Where a key's row is, or with ``free`` could be; and its digest."""
        digest = hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES, key=self._salt).digest()
        first = int.from_bytes(digest[:4], "little") % _BUCKETS * _ROWS
        places = [self._start + row * _ROW.size for row in range(first, first + _ROWS)]
        for place in places:
            if self._memory[place : place + _KEY_BYTES] == digest:
                return place, digest
        if free:
            for place in places:
                if not any(_ROW.unpack_from(self._memory, place)[1:]):
                    return place, digest
        return None, digest
