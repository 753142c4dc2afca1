"""Results in order, and no process left behind."""

from __future__ import annotations

import os
import time
from contextlib import closing
from multiprocessing import active_children

import pytest

from nanowakeword.errors import NanoWakewordError
from steps.workers import map_in_order
from tests.steps import tasks


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(workers: int) -> None:
    results = list(map_in_order(tasks.add, range(9), workers=workers, start=tasks.start, arguments=(100,)))
    assert [number for number, _ in results] == list(range(100, 109))
    assert (os.getpid() in {process for _, process in results}) == (workers == 1)
    assert not active_children()


def test_closing_early_does_not_wait_for_the_rest() -> None:
    started = time.monotonic()
    with closing(map_in_order(tasks.sleep, range(9), workers=2, start=tasks.start, arguments=(0,))) as results:
        assert next(results) == 0
    assert time.monotonic() - started < 30.0
    assert not active_children()


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(NanoWakewordError, match=r"a worker process died.*fewer workers"):
        list(map_in_order(tasks.die, [1, 2, 3], workers=2, start=tasks.start, arguments=(0,)))


def test_what_fails_in_a_worker_fails_here() -> None:
    with pytest.raises(ValueError, match="item 1"):
        list(map_in_order(tasks.fail, [1, 2, 3], workers=2, start=tasks.start, arguments=(0,)))
    assert not active_children()
