"""The right to an open stream: counted while it is open, charged for its audio, ended with its credentials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Self

from serving.caller import Caller
from serving.errors import UnauthenticatedError

__all__ = ["Lease"]

# Audio is charged a second at a time, so that the ledger is not opened for each message.
_SETTLE_S: Final = 1.0


class Lease:
    """One open stream; a context manager, entered and left by the task that serves it.

    When the credentials end while the task waits for something, `sweep` cancels the task, and leaving the context
    raises `UnauthenticatedError` in place of the cancellation.

    Args:
        caller: whose stream it is.
        settle: charges seconds of audio; raises `LimitError`.
        holds: tells whether the credentials still hold.
        leave: is told when the stream is over.
    """

    def __init__(
        self,
        caller: Caller,
        *,
        settle: Callable[[float], None],
        holds: Callable[[], bool],
        leave: Callable[[Lease], None],
    ) -> None:
        self.caller = caller
        self._settle = settle
        self._holds = holds
        self._leave = leave
        self._unsettled_s = 0.0
        self._task: asyncio.Task[Any] | None = None
        self._over = False

    @property
    def expires_in_s(self) -> float | None:
        """Seconds that the caller's token still lives; None where nothing expires."""
        expires_at_s = self.caller.expires_at_s
        return None if expires_at_s is None else max(0.0, expires_at_s - time.time())

    def charge(self, audio_s: float) -> None:
        """Tell that so much audio came.

        Raises:
            LimitError: it is more than the caller may send in a window.
        """
        self._unsettled_s += audio_s
        if self._unsettled_s >= _SETTLE_S:
            audio_s, self._unsettled_s = self._unsettled_s, 0.0
            self._settle(audio_s)

    def check(self) -> None:
        """Look whether the credentials still hold.

        Raises:
            UnauthenticatedError: the token has expired or was revoked, or the key was removed.
        """
        if self._over or not self._holds():
            self._over = True
            raise UnauthenticatedError

    def sweep(self) -> None:
        """End the stream if the credentials no longer hold."""
        if not self._over and not self._holds():
            self._over = True
            if self._task is not None:
                self._task.cancel()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        task, self._task = self._task, None
        self._leave(self)
        if self._over and task is not None and kind is not None and issubclass(kind, asyncio.CancelledError):
            task.uncancel()
            raise UnauthenticatedError from None
