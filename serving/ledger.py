"""What all workers have to agree on: one small file, mapped by each of them, under one lock."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from serving.counts import MAX_WORKERS, Counts
from serving.marks import Marks

__all__ = ["Ledger", "ledger_file"]

_PREFIX: Final = "nanowakeword-ledger-"
_SALT_BYTES: Final = 32
_COUNTS_START: Final = _SALT_BYTES + 3 * Marks.SIZE
_PROCESSES_START: Final = _COUNTS_START + Counts.SIZE
_PROCESS: Final = struct.Struct("=I")
_SIZE: Final = _PROCESSES_START + MAX_WORKERS * _PROCESS.size


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
        self._memory = mmap.mmap(self._file.fileno(), _SIZE)
        lock = _Lock(self._file.fileno())
        self.secret = salt = self._memory[:_SALT_BYTES]
        self.addresses, self.identities, self.revoked = (
            Marks(self._memory, lock, salt=salt, start=_SALT_BYTES + number * Marks.SIZE) for number in range(3)
        )
        self.streams = Counts(self._memory, lock, salt=salt, start=_COUNTS_START, worker=worker)
        self.streams.clear(worker)
        _PROCESS.pack_into(self._memory, _PROCESSES_START + worker * _PROCESS.size, os.getpid())

    @classmethod
    def forget(cls, path: Path, process: int) -> None:
        """Clear the counts of a worker that died, by its process id, before another one takes its place."""
        with path.open("r+b", buffering=0) as file, mmap.mmap(file.fileno(), _SIZE) as memory:
            for worker in range(MAX_WORKERS):
                if _PROCESS.unpack_from(memory, _PROCESSES_START + worker * _PROCESS.size)[0] == process:
                    lock = _Lock(file.fileno())
                    Counts(memory, lock, salt=b"", start=_COUNTS_START, worker=worker).clear(worker)

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
    """A new ledger, 6 MB, in a folder that only this user can enter; both are removed at the end.

    A server that was killed could not remove its own: the next one does.
    """
    memory = Path("/dev/shm")  # noqa: S108
    above = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    # A folder without its file is one that another server is about to hold.
    for left in above.glob(f"{_PREFIX}*/ledger"):
        with contextlib.suppress(OSError), _held(left.parent):
            shutil.rmtree(left.parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=above) as name, _held(Path(name)):
        path = Path(name) / "ledger"
        with path.open("xb") as file:
            # All of it now: on a full disk, a page that is missing later would kill the process without a word.
            file.write(secrets.token_bytes(_SALT_BYTES) + bytes(_SIZE - _SALT_BYTES))
        yield path


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder, at most as long as this process lives; OSError where another one does, or if it is not ours."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError(folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
