"""The open streams of a server: counted, ended when nothing comes, and all of them in the end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any, Final, cast

from serving.errors import IdleError, StoppingError

__all__ = ["OpenStream", "Streams"]

_LONGEST_PULSE_S: Final = 1.0


class OpenStream:
    """One stream, for the task that serves it.

    Args:
        task: that task.

    Attributes:
        waits_since_s: since when it waits for its client, monotonic seconds; infinite while the server works for it.
        error: why this server ends it; None: it does not.
    """

    __slots__ = ("_task", "error", "waits_since_s")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self.error: Exception | None = None
        self.wait()

    def wait(self) -> None:
        """From now on it is the client's turn: to send, or to take an answer."""
        self.waits_since_s = time.monotonic()

    def work(self) -> None:
        """From now on it is the server's turn."""
        self.waits_since_s = math.inf

    def end(self, error: Exception) -> None:
        """End the task with an error. The first one counts."""
        if self.error is None:
            self.error = error
            self._task.cancel()

    def settle(self) -> None:
        """The task has been told: to a timeout of what it does next, it would else seem cancelled by others."""
        self._task.uncancel()


class Streams:
    """The open streams of one event loop.

    Args:
        idle_timeout_s: how long a stream may wait for its client, above 0; 0: for ever.

    Attributes:
        draining: whether the server is about to stop.
    """

    def __init__(self, *, idle_timeout_s: float) -> None:
        self._idle_timeout_s = idle_timeout_s
        self._pulse_s = min(_LONGEST_PULSE_S, idle_timeout_s / 4)
        self._pulsing = False
        self._streams: set[OpenStream] = set()
        self._none = asyncio.Event()
        self._none.set()
        self.draining = False

    def __len__(self) -> int:
        """Streams open now."""
        return len(self._streams)

    @contextlib.contextmanager
    def open(self) -> Iterator[OpenStream]:
        """Serve a stream in the running task.

        Raises:
            IdleError: its client did nothing for too long.
            StoppingError: the server stops.
        """
        stream = OpenStream(cast("asyncio.Task[Any]", asyncio.current_task()))
        self._streams.add(stream)
        self._none.clear()
        if self._idle_timeout_s and not self._pulsing:
            self._pulsing = True
            asyncio.get_running_loop().call_later(self._pulse_s, self._pulse)
        try:
            yield stream
        except asyncio.CancelledError:
            # A client that left cancels the task as well, and needs no answer.
            if stream.error is None:
                raise
            stream.settle()
            raise stream.error from None
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._none.set()

    async def drain(self, drain_s: float) -> None:
        """Wait at most ``drain_s`` seconds for the streams to finish, then end those that are left."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), drain_s)
        self.end_all()
        await self._none.wait()

    def end_all(self) -> None:
        """End every open stream now."""
        for stream in self._streams:
            stream.end(StoppingError("the server is stopping; connect again"))

    def _pulse(self) -> None:
        """End idle streams, and look again later as long as there are any."""
        limit_s = time.monotonic() - self._idle_timeout_s
        for stream in self._streams:
            if stream.waits_since_s < limit_s:
                what = f"the client neither sent nor took anything for {self._idle_timeout_s:g} s"
                stream.end(IdleError(what))
        self._pulsing = bool(self._streams)
        if self._pulsing:
            asyncio.get_running_loop().call_later(self._pulse_s, self._pulse)
