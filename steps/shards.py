"""Work cut into shards, each done by a program in a fresh process, several at once, finished ones kept.

Fresh, since some speech engines give other sounds when they have spoken before. Kept, so that a run that was killed
goes on where it stopped. What comes out does not depend on the order in which shards are finished.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import FrameType

from nanowakeword.errors import DependencyError

__all__ = ["run_shards"]


def run_shards(
    command: Sequence[str],
    jobs: Mapping[str, bytes],
    *,
    folder: Path,
    workers: int,
    done: Callable[[str], None],
) -> dict[str, Path]:
    """Run a program once for each job that has not been done before.

    Args:
        command: the program, which reads a job on standard input and writes its result on standard output.
        jobs: name to job; the name, which becomes the file's, must stand for the job's content.
        folder: where results are kept.
        workers: programs that run at once.
        done: called with each name, in this thread, as it is finished or found finished.

    Returns:
        Name to the file with the result, in the order of ``jobs``.

    Raises:
        DependencyError: a program failed; its last words are in the message.
        OSError: a result cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / name for name in jobs}
    # One thread a process, and our packages importable from any folder.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
    running: set[subprocess.Popen[bytes]] = set()
    stopped = threading.Event()
    lock = threading.Lock()

    def run(name: str) -> str:
        with lock:
            if stopped.is_set():
                return name
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
            running.add(process)
        result, words = process.communicate(jobs[name])
        with lock:
            running.discard(process)
        if process.returncode != 0 and not stopped.is_set():
            last = words.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise DependencyError(f"{name} could not be made: exit status {process.returncode}, {last[0]}")
        if not stopped.is_set():
            partial = paths[name].with_suffix(f".{os.getpid()}")
            try:
                partial.write_bytes(result)
                partial.replace(paths[name])
            finally:
                partial.unlink(missing_ok=True)
        return name

    with _terminate_as_interrupt(), ThreadPoolExecutor(workers) as pool:
        waiting: set[Future[str]] = set()
        try:
            for name in jobs:
                if paths[name].exists():
                    done(name)
                else:
                    waiting.add(pool.submit(run, name))
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    done(future.result())
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            with lock:
                for process in running:
                    process.kill()
    return paths


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Make SIGTERM, which ends a process on the spot, an interrupt that ends its children first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
