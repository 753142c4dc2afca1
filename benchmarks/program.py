"""How every benchmark ends: with an error message for people and no stack trace where something asked for is wrong."""

from __future__ import annotations

from collections.abc import Callable

from nanowakeword.errors import NanoWakewordError

__all__ = ["run"]


def run(main: Callable[[], int | None]) -> None:
    """Run a program and exit with its status; 1 after an error that was raised on purpose."""
    try:
        raise SystemExit(main())
    except NanoWakewordError as error:
        raise SystemExit(f"error: {error}") from None
