"""Events of the Wyoming protocol on a connection, read within limits: the package's own reader takes any size.

An event is a line of JSON, then as many bytes of JSON and of payload as the line tells.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from wyoming.event import Event, async_write_event

from serving.config import MAX_MESSAGE_BYTES
from serving.errors import ProtocolError

__all__ = ["MAX_LINE_BYTES", "read_event", "write_event"]

MAX_LINE_BYTES: Final = 32 * 1024
_MAX_PAYLOAD_BYTES: Final = MAX_MESSAGE_BYTES


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None: the other side has closed.

    Args:
        reader: of a connection; its limit is `MAX_LINE_BYTES`.

    Raises:
        ProtocolError: something else came, or too much.
    """
    try:
        line = await reader.readuntil(b"\n")
        head = _read_object(line)
        kind, data = head.get("type"), head.get("data") or {}
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise ProtocolError("an event without a type, or with data that are no object")
        if size := _read_size(head, "data_length", most=MAX_LINE_BYTES):
            data = {**data, **_read_object(await reader.readexactly(size))}
        size = _read_size(head, "payload_length", most=_MAX_PAYLOAD_BYTES)
        return Event(type=kind, data=data, payload=await reader.readexactly(size) if size else None)
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise ProtocolError("a line that is too long", expected=f"at most {MAX_LINE_BYTES} bytes") from None


async def write_event(event: Event, writer: asyncio.StreamWriter) -> None:
    """Send an event, and wait while the other side takes none.

    Raises:
        ConnectionError: nobody is there any more.
        ProtocolError: it repeats something of the client's that cannot be written.
    """
    try:
        await async_write_event(event, writer)
    except (RecursionError, UnicodeEncodeError):
        raise ProtocolError("text or context that cannot be repeated") from None


def _read_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (RecursionError, ValueError):
        raise ProtocolError("bytes that are no JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("JSON that is no object", got=type(value).__name__)
    return value


def _read_size(head: dict[str, Any], key: str, *, most: int) -> int:
    size = head.get(key)
    if size is None:
        return 0
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= most:
        raise ProtocolError(f"bad {key} in an event", got=repr(size)[:40], expected=f"0 to {most}")
    return size
