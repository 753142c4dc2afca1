"""One process that serves: puts the parts together and runs them until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nanowakeword.errors import DependencyError, NanoWakewordError
from serving.config import ServerConfig
from serving.logs import set_up_logs

if TYPE_CHECKING:
    from serving.batching import BatchMetrics

__all__ = ["run_process", "run_worker"]


def run_process(config: ServerConfig, *, ledger_path: Path, worker: int, ready: Callable[[str], object]) -> None:
    """Load the models, listen, say so, and serve until SIGTERM or SIGINT.

    Args:
        config: settings.
        ledger_path: what all workers share.
        worker: number of this one.
        ready: told where it listens and for what, one line.

    Raises:
        ConfigError: the port is taken, or two models have one name.
        DependencyError: the extra ``serve`` is not installed.
        ModelError: a file is missing, damaged, or not a model.
    """
    # Each microphone is a file; the usual 1,024 are a default for programs that use select().
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_serve(config, ledger_path, worker, ready))


def run_worker(config: ServerConfig, ledger_path: Path, worker: int, ready: Callable[[], object]) -> None:
    """What each of several processes does; exits with status 1 and one line where it cannot."""
    set_up_logs(log_format=config.log_format, level=config.log_level)
    try:
        run_process(config, ledger_path=ledger_path, worker=worker, ready=lambda _: ready())
    except NanoWakewordError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _new_loop() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop, which takes less time for each message than the standard one; that, where it is not."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Part(Protocol):
    """A server beside others in one process."""

    async def stop(self, *, drain_s: float) -> None:
        """Take no new streams, let open ones finish for at most so long, then end them."""

    def end_streams(self) -> None:
        """End open streams now."""


async def _serve(config: ServerConfig, ledger_path: Path, worker: int, ready: Callable[[str], object]) -> None:
    try:
        from serving.engine import Engine
        from serving.guard import Guard
        from serving.ledger import Ledger
        from serving.metrics import Metrics
        from serving.metrics_page import MetricsPage
        from serving.server import Server
    except ImportError as error:
        raise DependencyError(
            "cannot serve", got=error, hint='Install what is missing: pip install "nanowakeword[serve]"'
        ) from error

    with contextlib.ExitStack() as stack:
        metrics = Metrics()
        if config.metrics is not None and config.workers == 1:
            stack.enter_context(MetricsPage(config.metrics, metrics.registry))
        runs: BatchMetrics = metrics
        interceptors = []
        if config.trace is not None:
            from serving.tracing import Tracing

            tracing = stack.enter_context(Tracing.to_collector(config.trace))
            runs = tracing.batches(metrics)
            interceptors.append(tracing.interceptor)
        ledger = stack.enter_context(Ledger(ledger_path, worker=worker))
        guard = stack.enter_context(contextlib.closing(Guard(config, ledger=ledger, metrics=metrics)))
        engine = stack.enter_context(Engine.load(config, metrics=runs, worker=worker))
        server = Server(config, engine=engine, guard=guard, metrics=metrics, interceptors=interceptors)
        address = replace(config, port=await server.start()).address
        told = f"listening on {address}: " + ", ".join(
            f"{model.name} (fires at {model.threshold:g})" for model in engine.models
        )
        parts: list[Part] = [server]
        if config.wyoming is not None:
            from serving.wyoming import WyomingServer

            wyoming = WyomingServer(config, engine=engine, guard=guard, metrics=metrics)
            try:
                told += f"; Wyoming on {await wyoming.start(announce=worker == 0)}"
            except BaseException:
                await server.stop(drain_s=0.0)
                raise
            parts.append(wyoming)
        # What is loaded stays. To look through it again, as the collector does now and then, would take tens of
        # milliseconds, in which every stream waits.
        gc.collect()
        gc.freeze()
        ready(told)
        await _run_until_signal(parts, drain_s=config.drain_s)


async def _run_until_signal(parts: Sequence[Part], *, drain_s: float) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends open streams at once."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, None)
    await signals.get()
    draining = asyncio.gather(*(part.stop(drain_s=drain_s) for part in parts))
    hurry = asyncio.ensure_future(signals.get())
    await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
    if hurry.done():
        for part in parts:
            part.end_streams()
    hurry.cancel()
    await draining
