"""Reads files that nobody else may change or read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError

__all__ = ["read_private"]

_MAX_BYTES: Final = 1024 * 1024


def read_private(path: Path, *, what: str) -> bytes:
    """The bytes of a file that belongs to root or to this user, and that only its group may read, too.

    Args:
        path: the file.
        what: what it holds, for the error.

    Raises:
        ConfigError: it cannot be read, or is open to others.
    """
    try:
        # What was opened is what is checked: no one can put another file in its place between the two.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
                raise ConfigError(f"cannot read {what} from {path}", expected="a file of at most 1 MiB")
            if status.st_mode & 0o037 or status.st_uid not in (0, os.geteuid()):
                raise ConfigError(
                    f"{what} in {path}: the file is open to others",
                    got=f"mode {stat.S_IMODE(status.st_mode):03o}, owner {status.st_uid}",
                    expected="mode 600 or 640, owner root or the server's user",
                    hint=f"chmod 600 {path}",
                )
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read {what} from {path}", got=error.strerror) from None
