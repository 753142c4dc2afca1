"""What all workers have to agree on: one small file, mapped by each of them, under one lock.

*Marks* are moments up to which something holds: a ban, a revoked token, a debt. A rate limit is a debt: a call costs
``window / limit`` seconds, time pays it back, and whoever would owe more than one window is refused. So a caller may
use a whole window's allowance at once, and then as much as comes back; nothing is counted, and a mark of the past is
none. *Counts* are the open streams of each worker; when a worker dies, its column is cleared.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import secrets
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

__all__ = ["MAX_WORKERS", "Counts", "Ledger", "Marks", "ledger_file"]

MAX_WORKERS: Final = 64
_NAME: Final = "ledger"
_SALT_BYTES: Final = 32
_KEY_BYTES: Final = 16
# A key may lie in any row of its bucket; of most buckets no row is ever written, and the file stays small.
_BUCKET: Final = 8
_MARK: Final = struct.Struct(f"={_KEY_BYTES}sd")
_MARK_BUCKET: Final = struct.Struct("=" + f"{_KEY_BYTES}sd" * _BUCKET)
_MARK_BUCKETS: Final = 8192
_COUNT: Final = struct.Struct(f"={_KEY_BYTES}s{MAX_WORKERS}I")
_COUNT_BUCKETS: Final = 512
_MARKS_BYTES: Final = _MARK_BUCKET.size * _MARK_BUCKETS
_COUNTS_BYTES: Final = _COUNT.size * _BUCKET * _COUNT_BUCKETS
_ALL: Final = _SALT_BYTES + 3 * _MARKS_BYTES + _COUNTS_BYTES


class Ledger:
    """The file, opened by one worker; a context manager that closes it.

    Args:
        path: what `ledger_file` gave.
        worker: number of this worker, below `MAX_WORKERS`; what another one of this number left behind is cleared.

    Attributes:
        addresses: bans and debts of addresses. Strangers write here.
        identities: debts of identities.
        revoked: tokens.
        streams: open streams.
        secret: random bytes that all workers share, for them to derive keys from.
    """

    def __init__(self, path: Path, *, worker: int = 0) -> None:
        self._file = path.open("r+b", buffering=0)
        self._memory = mmap.mmap(self._file.fileno(), _ALL)
        lock = _Lock(self._file.fileno())
        self.secret = salt = self._memory[:_SALT_BYTES]
        self.addresses, self.identities, self.revoked = (
            Marks(self._memory, lock, salt=salt, start=_SALT_BYTES + number * _MARKS_BYTES) for number in range(3)
        )
        start = _SALT_BYTES + 3 * _MARKS_BYTES
        self.streams = Counts(self._memory, lock, salt=salt, start=start, worker=worker)
        self.streams.clear(worker)

    def close(self) -> None:
        """Clear this worker's counts and close the file."""
        if not self._file.closed:
            self.streams.clear(self.streams.worker)
            self._memory.close()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Marks:
    """Moments up to which something holds, by key, on ``time.monotonic``: one clock for all processes."""

    def __init__(self, memory: mmap.mmap, lock: _Lock, *, salt: bytes, start: int) -> None:
        self._memory = memory
        self._lock = lock
        self._salt = salt
        self._start = start

    def left_s(self, key: str) -> float:
        """Seconds for which a key is marked; 0: not at all."""
        digest, bucket = self._place(key)
        row = self._find(digest, bucket)
        return 0.0 if row is None else max(0.0, self._until(bucket, row) - time.monotonic())

    def mark(self, key: str, *, for_s: float) -> None:
        """Mark a key for so long from now, or longer if it is marked for longer.

        Where there is no room, the mark that ends first makes room.
        """
        with self._lock:
            digest, bucket = self._place(key)
            row = self._find(digest, bucket)
            until_s = time.monotonic() + for_s
            self._write(bucket, row, digest, until_s if row is None else max(until_s, self._until(bucket, row)))

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
        """A key's digest, and where its bucket begins. Nobody outside can tell which keys share one."""
        digest = hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES, key=self._salt).digest()
        return digest, self._start + int.from_bytes(digest[:4], "little") % _MARK_BUCKETS * _MARK_BUCKET.size

    def _find(self, digest: bytes, bucket: int) -> int | None:
        rows = _MARK_BUCKET.unpack_from(self._memory, bucket)
        return next((row for row in range(_BUCKET) if rows[2 * row] == digest), None)

    def _until(self, bucket: int, row: int) -> float:
        until_s: float = _MARK.unpack_from(self._memory, bucket + row * _MARK.size)[1]
        return until_s

    def _write(self, bucket: int, row: int | None, digest: bytes, until_s: float) -> None:
        if row is None:
            untils = _MARK_BUCKET.unpack_from(self._memory, bucket)[1::2]
            row = untils.index(min(untils))
        _MARK.pack_into(self._memory, bucket + row * _MARK.size, digest, until_s)


class Counts:
    """How many are open, by key and worker."""

    def __init__(self, memory: mmap.mmap, lock: _Lock, *, salt: bytes, start: int, worker: int) -> None:
        self._memory = memory
        self._lock = lock
        self._salt = salt
        self._start = start
        self.worker = worker

    def total(self, key: str) -> int:
        """How many of a key are open, over all workers."""
        place = self._find(key)[0]
        return 0 if place is None else sum(_COUNT.unpack_from(self._memory, place)[1:])

    def enter(self, key: str, *, most: int | None) -> bool:
        """Count one more; False, and nothing counted, where there are ``most`` already, or no room for a new key."""
        with self._lock:
            place, digest = self._find(key, free=True)
            if place is None:
                return False
            counts = list(_COUNT.unpack_from(self._memory, place)[1:])
            if most is not None and sum(counts) >= most:
                return False
            counts[self.worker] += 1
            _COUNT.pack_into(self._memory, place, digest, *counts)
            return True

    def leave(self, key: str) -> None:
        """Count one less."""
        with self._lock:
            place, digest = self._find(key)
            if place is not None:
                counts = list(_COUNT.unpack_from(self._memory, place)[1:])
                counts[self.worker] = max(0, counts[self.worker] - 1)
                _COUNT.pack_into(self._memory, place, digest, *counts)

    def clear(self, worker: int) -> None:
        """Forget all of one worker: it has ended, however it did."""
        with self._lock:
            for row in range(_BUCKET * _COUNT_BUCKETS):
                place = self._start + row * _COUNT.size + _KEY_BYTES + 4 * worker
                if self._memory[place : place + 4] != b"\0\0\0\0":
                    self._memory[place : place + 4] = b"\0\0\0\0"

    def _find(self, key: str, *, free: bool = False) -> tuple[int | None, bytes]:
        """Where a key's row is, or with ``free`` could be; and its digest."""
        digest = hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES, key=self._salt).digest()
        first = int.from_bytes(digest[:4], "little") % _COUNT_BUCKETS * _BUCKET
        places = [self._start + row * _COUNT.size for row in range(first, first + _BUCKET)]
        for place in places:
            if self._memory[place : place + _KEY_BYTES] == digest:
                return place, digest
        if free:
            for place in places:
                if not any(_COUNT.unpack_from(self._memory, place)[1:]):
                    return place, digest
        return None, digest


class _Lock:
    """Held by one process at a time; the kernel gives it back when its holder dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def ledger_file() -> Iterator[Path]:
    """A new ledger in a folder that only this user can enter; both are removed at the end."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="nanowakeword-", dir=memory if os.access(memory, os.W_OK) else None
    ) as folder:
        path = Path(folder) / _NAME
        with path.open("xb") as file:
            file.write(secrets.token_bytes(_SALT_BYTES))
            file.truncate(_ALL)
        yield path
