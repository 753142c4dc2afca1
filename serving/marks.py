"""Moments up to which something holds: a ban, a revoked token, a debt.

A rate limit is a debt: a call costs ``window / limit`` seconds, time pays it back, and whoever would owe more than one
window is refused. So a caller may use a whole window's allowance at once, and then as much as comes back; nothing is
counted, and a mark of the past is none.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import time
from contextlib import AbstractContextManager
from typing import Any, Final

__all__ = ["Marks"]

_KEY_BYTES: Final = 16
# A key may lie in any row of its bucket.
_ROWS: Final = 8
_ROW: Final = struct.Struct(f"={_KEY_BYTES}sd")
_BUCKET: Final = struct.Struct("=" + f"{_KEY_BYTES}sd" * _ROWS)
_BUCKETS: Final = 8192


class Marks:
    """Moments by key, on ``time.monotonic``, which is one clock for all processes.

    Args:
        memory: shared by all processes.
        lock: held while it is written to.
        salt: so that nobody outside can tell which keys share a bucket.
        start: where in the memory it begins.

    Attributes:
        SIZE: bytes of memory that it takes.
    """

    SIZE: Final = _BUCKET.size * _BUCKETS

    def __init__(self, memory: mmap.mmap, lock: AbstractContextManager[Any], *, salt: bytes, start: int) -> None:
        self._memory = memory
        self._lock = lock
        self._salt = salt
        self._start = start

    def left_s(self, key: str) -> float:
        """Seconds for which a key is marked; 0: not at all."""
        digest, bucket = self._place(key)
        row = self._find(digest, bucket)
        return 0.0 if row is None else max(0.0, self._until(bucket, row) - time.monotonic())

    def mark(self, key: str, *, for_s: float, evict: bool = True) -> bool:
        """Mark a key for so long from now, or longer if it is marked for longer.

        Where there is no room, the mark that ends first makes room; without ``evict`` none does, and False comes back.
        """
        with self._lock:
            digest, bucket = self._place(key)
            row = self._find(digest, bucket)
            until_s = time.monotonic() + for_s
            if row is not None:
                until_s = max(until_s, self._until(bucket, row))
            elif not evict and min(_BUCKET.unpack_from(self._memory, bucket)[1::2]) > time.monotonic():
                return False
            self._write(bucket, row, digest, until_s)
            return True

    def spend(self, key: str, *, cost_s: float, most_s: float) -> bool:
        """Add to a key's debt; False, and nothing added, where it would be more than ``most_s``."""
        with self._lock:
            now_s = time.monotonic()
            digest, bucket = self._place(key)
            row = self._find(digest, bucket)
            until_s = cost_s + (now_s if row is None else max(now_s, self._until(bucket, row)))
            # What is added to a large number and taken off again differs in the last digits.
            if until_s - now_s > most_s + 1e-6:
                return False
            self._write(bucket, row, digest, until_s)
            return True

    def clear(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            digest, bucket = self._place(key)
            row = self._find(digest, bucket)
            if row is not None:
                self._write(bucket, row, digest, 0.0)

    def _place(self, key: str) -> tuple[bytes, int]:
        """A key's digest, and where its bucket begins."""
        digest = hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES, key=self._salt).digest()
        return digest, self._start + int.from_bytes(digest[:4], "little") % _BUCKETS * _BUCKET.size

    def _find(self, digest: bytes, bucket: int) -> int | None:
        rows = _BUCKET.unpack_from(self._memory, bucket)
        return next((row for row in range(_ROWS) if rows[2 * row] == digest), None)

    def _until(self, bucket: int, row: int) -> float:
        until_s: float = _ROW.unpack_from(self._memory, bucket + row * _ROW.size)[1]
        return until_s

    def _write(self, bucket: int, row: int | None, digest: bytes, until_s: float) -> None:
        if row is None:
            untils = _BUCKET.unpack_from(self._memory, bucket)[1::2]
            row = untils.index(min(untils))
        _ROW.pack_into(self._memory, bucket + row * _ROW.size, digest, until_s)
