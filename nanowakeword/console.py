"""What a command shows while it works, on standard error."""

from __future__ import annotations

import sys
import time
from typing import Final

__all__ = ["ProgressLine"]

_TERMINAL_PERIOD_S: Final = 0.2
_LOG_PERIOD_S: Final = 10.0


class ProgressLine:
    """One line that is refreshed in place on a terminal; in a log, a line every ten seconds and at the end."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last_shown = time.monotonic() if not self._terminal else float("-inf")
        self._width = 0

    def update(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` recordings are through."""
        now = time.monotonic()
        finished = done >= total
        if not finished and now - self._last_shown < (_TERMINAL_PERIOD_S if self._terminal else _LOG_PERIOD_S):
            return
        self._last_shown = now
        line = f"{what}: {done} of {total}"
        if self._terminal:
            sys.stderr.write("\r" + line.ljust(self._width) + ("\n" if finished else ""))
            self._width = 0 if finished else len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End a line that is not finished, so that what follows begins on its own."""
        if self._width:
            sys.stderr.write("\n")
            self._width = 0
