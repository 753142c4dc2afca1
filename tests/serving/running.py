"""Servers of the test process, and a client that speaks the bare protocol."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

import grpc
import numpy as np
import numpy.typing as npt

from nanowakeword.v1 import wakeword_pb2 as pb
from nanowakeword.v1.wakeword_pb2_grpc import WakeWordServiceStub
from serving.config import ServerConfig
from serving.engine import Engine
from serving.guard import Guard
from serving.ledger import Ledger, ledger_file
from serving.metrics import Metrics
from serving.server import Server
from serving.transport import Patience

if TYPE_CHECKING:
    from serving.tracing import Tracing

TIMEOUT_S = 30.0  # of what does not happen; machines can be busy


class LoopThread:
    """An event loop in a thread."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server loop", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Start a coroutine; its future."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine; its result."""
        return self.start(coroutine).result(TIMEOUT_S)


class RunningServer:
    """A server on a free port."""

    def __init__(
        self,
        loop: LoopThread,
        *,
        patience: Patience = Patience(),  # noqa: B008
        tracing: Tracing | None = None,
        **settings: Any,
    ) -> None:
        self._loop = loop
        self._patience = patience
        self._tracing = tracing
        self.config = ServerConfig(**{"port": 0, **settings})
        self.metrics = Metrics()
        self._stack = ExitStack()
        runs = self.metrics if tracing is None else tracing.batches(self.metrics)
        self.engine = self._stack.enter_context(Engine.load(self.config, metrics=runs))
        ledger = self._stack.enter_context(Ledger(self._stack.enter_context(ledger_file()), worker=0))
        self.guard = Guard(self.config, ledger=ledger, metrics=self.metrics)
        self._stack.callback(self.guard.close)

    def __enter__(self) -> Self:
        async def build() -> tuple[Server, int]:
            server = Server(
                self.config,
                engine=self.engine,
                guard=self.guard,
                metrics=self.metrics,
                patience=self._patience,
                interceptors=() if self._tracing is None else (self._tracing.interceptor,),
            )
            return server, await server.start()

        self.server: Server
        self.port: int
        try:
            self.server, self.port = self._loop.run(build())
        except BaseException:
            self._stack.close()
            raise
        self.address = f"127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(drain_s=0.0).result(TIMEOUT_S)
        self._stack.close()

    @property
    def open_streams(self) -> int:
        """Streams open now."""
        return self.server.open_streams

    def stop(self, *, drain_s: float) -> Any:
        """Begin to stop; a future."""
        return self._loop.start(self.server.stop(drain_s=drain_s))

    @contextmanager
    def stub(self, *options: tuple[str, int]) -> Iterator[Any]:
        """A stub of the service, on a connection of its own."""
        with grpc.insecure_channel(self.address, options=[("grpc.enable_http_proxy", 0), *options]) as channel:
            yield WakeWordServiceStub(channel)  # type: ignore[no-untyped-call]

    def talk(self, requests: Iterable[pb.DetectRequest]) -> list[pb.DetectResponse]:
        """All answers to a whole stream."""
        with self.stub() as stub:
            return list(stub.Detect(iter(requests), timeout=TIMEOUT_S))


def config(*models: pb.ModelSelection, output: pb.DetectOutput = pb.DETECT_OUTPUT_DETECTIONS) -> pb.DetectRequest:
    """The first message of a stream."""
    return pb.DetectRequest(config=pb.DetectConfig(models=models, output=output))


def audio(samples: npt.NDArray[np.int16], *, sequence: int | None = None) -> pb.DetectRequest:
    """A later message of a stream."""
    return pb.DetectRequest(audio=pb.AudioChunk(sequence=sequence, pcm_s16le=samples.astype("<i2").tobytes()))


def pieces(samples: npt.NDArray[np.int16], size: int) -> Iterator[npt.NDArray[np.int16]]:
    """Cut a recording."""
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def wait_for(condition: Callable[[], bool], *, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
