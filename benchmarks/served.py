"""A server in a process of its own, pinned to one core, and what it takes; run as a program it is the floor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceServicer, add_WakeWordServiceServicer_to_server

__all__ = ["HOST", "METHOD", "Served", "run_pinned", "serve_floor", "serve_models"]

HOST: Final = "127.0.0.1"
METHOD: Final = "/nanowakeword.v1.WakeWordService/Detect"
CHECKOUT: Final = Path(__file__).parents[1]
_STOP_S: Final = 10.0


class Served:
    """A running server.

    Attributes:
        port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = process

    @property
    def cpu_s(self) -> float:
        """Processor time that it has taken, seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_bytes(self) -> int:
        """Memory that it has now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def serve_models(models: Sequence[Path], *, max_batch: int) -> contextlib.AbstractContextManager[Served]:
    """Run the server, which takes as many streams as come."""
    named = [part for model in models for part in ("--model", str(model.absolute()))]
    return _serve("serving", *named, "--port", "0", "--max-streams", "100000", "--max-batch", str(max_batch))


def serve_floor() -> contextlib.AbstractContextManager[Served]:
    """Run the floor."""
    return _serve("benchmarks.served", quiet=True)  # gRPC writes a stack trace for each stream that is cut off


@contextlib.contextmanager
def _serve(module: str, *arguments: str, quiet: bool = False) -> Iterator[Served]:
    with run_pinned([sys.executable, "-m", module, *arguments], folder=CHECKOUT, quiet=quiet) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"listening on \S*?:(\d+)", line)
        if found is None:
            raise SystemExit(f"the server did not start: {line}")
        yield Served(process, int(found[1]))


@contextlib.contextmanager
def run_pinned(command: Sequence[str], *, folder: Path, quiet: bool) -> Iterator[subprocess.Popen[str]]:
    """Run a program on the first core, which this one leaves to it meanwhile.

    Args:
        command: program and arguments.
        folder: to run it in.
        quiet: whether what it writes to standard error is dropped.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    # A child inherits the cores; afterwards this process has the others.
    os.sched_setaffinity(0, {first})
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
    )
    os.sched_setaffinity(0, set(others) or {first})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, {first, *others})


class _Floor(WakeWordServiceServicer):
    """Answers every message with a score, and does nothing else."""

    async def Detect(self, requests: Any, context: Any) -> None:  # noqa: N802
        async for _ in requests:
            track = pb.ScoreTrack(model="floor", start_s=0.0, values=[0.5])
            await context.write(pb.DetectResponse(processed_samples=1_280, scores=[track]))


async def _run_floor() -> None:
    server = grpc.aio.server(options=[("grpc.http2.bdp_probe", 0)])
    add_WakeWordServiceServicer_to_server(_Floor(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(server.stop(0.0)))
    print(f"listening on {HOST}:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_run_floor())
