"""The server's log on standard error: one line for each event, as text or as JSON.

Nobody hands audio, credentials or metadata to a logger. What a client chose, such as the name of a model, may stand in
a message, so control characters are escaped: it cannot pass for a line of its own.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import secrets
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["request", "set_up_logs"]

_REQUEST: Final = contextvars.ContextVar[str | None]("request", default=None)
_ESCAPED: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}
_ESCAPED_BUT_LINES: Final = {code: text for code, text in _ESCAPED.items() if code not in (0x09, 0x0A)}


@contextlib.contextmanager
def request() -> Iterator[str]:
    """Give what is logged meanwhile by this task, and by tasks that it starts, one id of its own.

    Yields:
        The id, eight hexadecimal digits.
    """
    token = _REQUEST.set(secrets.token_hex(4))
    try:
        yield _REQUEST.get() or ""
    finally:
        _REQUEST.reset(token)


def set_up_logs(*, log_format: str, level: str) -> None:
    """Send everything that is logged in this process to standard error.

    Args:
        log_format: ``text`` or ``json``.
        level: least level, ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if log_format == "json" else _TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # What cannot be written to standard error has nowhere to go.
    logging.raiseExceptions = False


class _TextLines(logging.Formatter):
    """``2026-01-31T12:00:00.000Z INFO serving.server [1a2b3c4d] message``, then the stack of an exception, indented."""

    def format(self, record: logging.LogRecord) -> str:
        request_id = _REQUEST.get()
        shown = f" [{request_id}]" if request_id else ""
        message = record.getMessage().translate(_ESCAPED)
        line = f"{_time(record)} {record.levelname} {record.name}{shown} {message}"
        if record.exc_info:
            stack = self.formatException(record.exc_info).translate(_ESCAPED_BUT_LINES)
            line += "\n    " + stack.replace("\n", "\n    ")
        return line


class _JsonLines(logging.Formatter):
    """An object with ``time``, ``level``, ``logger``, ``message`` and, where there are any, ``request``, ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := _REQUEST.get():
            entry["request"] = request_id
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"
