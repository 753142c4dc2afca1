"""Who was let in and who was not: one line of JSON for each event, without a secret and without audio."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from nanowakeword.errors import ConfigError

__all__ = ["Audit"]

Event = Literal["admitted", "refused", "banned", "ended", "token issued", "token revoked"]

# Strangers must not fill the disk: of their calls so many are told in a second, and how many are left out.
_MAX_REFUSALS_PER_S: Final = 20

_log = logging.getLogger(__name__)


class Audit:
    """Writes events. Used by one thread; each line is one write, so several workers may share a file.

    Args:
        path: file to append to, made for this user alone; None: the log.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._descriptor: int | None = None
        self._second = 0
        self._told = 0
        self._left_out = 0
        if path is not None:
            try:
                self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise ConfigError(f"cannot write the audit log {path}", got=error.strerror) from None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def record(self, event: Event, **facts: str | float | None) -> None:
        """Write an event; facts that are None are left out. Never raises: a full disk must not end streams."""
        if event == "refused" and not self._has_room():
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        known = {key: value for key, value in facts.items() if value is not None}
        left_out = {"refusals_left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        line = json.dumps({"time": now, "event": event, **known, **left_out})
        if self._descriptor is None:
            _log.info("%s", line)
            return
        try:
            os.write(self._descriptor, line.encode() + b"\n")
        except OSError as error:
            _log.error("the audit log cannot be written (%s): %s", error.strerror, line)

    def _has_room(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        if self._told > _MAX_REFUSALS_PER_S:
            self._left_out += 1
            return False
        return True
