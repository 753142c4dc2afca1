"""Work for the tests of `steps.workers`, in a module that new processes import quickly."""

from __future__ import annotations

import os
import time

offset = 0


def start(value: int) -> None:
    globals()["offset"] = value


def add(number: int) -> tuple[int, int]:
    """The sum, and who made it; early items take longest."""
    time.sleep(max(0.0, 0.05 * (4 - number)))
    return number + offset, os.getpid()


def sleep(number: int) -> int:
    time.sleep(60.0 if number else 0.0)
    return number


def die(number: int) -> None:
    os._exit(number)


def fail(number: int) -> None:
    raise ValueError(f"item {number}")
