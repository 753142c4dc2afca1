"""Work spread over processes, its results in the order of the work, and only a few of them in memory."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from nanowakeword.errors import NanoWakewordError
from steps.lifeline import die_with_parent

__all__ = ["map_in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Generator[Result]:
    """Results of ``work(item)``, in order. Close the generator to stop the processes early.

    Args:
        work: a function of a module, so that new processes find it.
        items: what to work on; taken as results are used.
        workers: processes; with 1, this process does it.
        start: called with ``arguments`` in each process before its first item.
        arguments: whatever can be pickled.

    Raises:
        NanoWakewordError: a process died, as it does when memory runs out.
    """
    if workers == 1:
        start(*arguments)
        yield from map(work, items)
        return
    executor = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start, initargs=(os.getpid(), start, arguments)
    )
    others = set(active_children())
    waiting: deque[Future[Result]] = deque()
    left = iter(items)
    try:
        while True:
            with _interrupts_held():
                waiting.extend(executor.submit(work, item) for item in islice(left, 2 * workers - len(waiting)))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise NanoWakewordError(
            "a worker process died", hint="If memory ran out, set fewer workers in params.yaml"
        ) from None
    finally:
        if waiting:  # nobody wants the rest
            for process in set(active_children()) - others:
                process.terminate()
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until this is over. Processes made meanwhile never see it, not even while they import."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(parent: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Workers leave Ctrl-C to their parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # who started us may have it ignored; the parent ends us with it
    die_with_parent()
    if os.getppid() != parent:  # it died while this process was importing
        os._exit(1)
    start(*arguments)
