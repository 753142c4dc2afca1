"""Microphones in real time: each has its own connection, sends 80 ms every 80 ms and takes the time to each answer.

The phases are spread at random. All run in one event loop: what that loop itself is late with is measured, too, since
it is part of every latency.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from benchmarks.load import connect
from benchmarks.served import HOST, METHOD, Served
from nanowakeword.timing import HOP_S
from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["OPEN_S", "Line", "Load", "load", "open_detect"]

OPEN_S: Final = 10.0
_OPEN_PER_S: Final = 200
_SETTLE_S: Final = 1.0
_CONFIG: Final = pb.DetectRequest(config=pb.DetectConfig(output=pb.DETECT_OUTPUT_SCORES)).SerializeToString()


class Line(Protocol):
    """One stream to a server, open.

    Attributes:
        on_message: called with each message that comes.
    """

    on_message: Callable[[bytes], object]

    def send(self, message: bytes) -> None:
        """Send a message."""

    def close(self) -> None:
        """Drop the stream and its connection."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a server did under load.

    Attributes:
        streams: how many.
        p50_ms: median of the added latency, from the moment a chunk was sent to the moment its score was here.
        p95_ms: its 95th percentile.
        p99_ms: its 99th.
        answered: share of the chunks that were answered by the end, those sent in its last 80 ms left out.
        cpu_per_stream: processor time of the server over time passed, per stream.
        memory_per_stream_kib: memory of the server with all streams above that without one, per stream.
        client_cpu: processor time of the microphones over time passed; near 1 they are what is slow.
        client_late_ms: 99th percentile of how late the microphones sent. Answers wait for them as long.
    """

    streams: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    answered: float
    cpu_per_stream: float
    memory_per_stream_kib: float
    client_cpu: float
    client_late_ms: float


class _Microphone:
    """One stream.

    Attributes:
        latencies_s: of the answers so far.
        late_s: how late each chunk was sent.
    """

    def __init__(self, line: Line, chunks: Sequence[bytes]) -> None:
        self.latencies_s: list[float] = []
        self.late_s: list[float] = []
        self._line = line
        self._chunks = chunks
        self._loop = asyncio.get_running_loop()
        self._sent: deque[float] = deque()
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        line.on_message = self._receive

    @property
    def unanswered(self) -> int:
        """Chunks sent more than 80 ms ago that have no answer."""
        limit_s = time.perf_counter() - HOP_S
        return sum(sent_s < limit_s for sent_s in self._sent)

    def send_from(self, at_s: float) -> None:
        """Send a chunk at a moment of the loop's clock, and every 80 ms from then on."""
        self._timer = self._loop.call_at(at_s, self._send, at_s)

    def close(self) -> None:
        """End the stream."""
        if self._timer is not None:
            self._timer.cancel()
        self._line.close()

    def _send(self, at_s: float) -> None:
        self.late_s.append(self._loop.time() - at_s)
        self._sent.append(time.perf_counter())
        self._line.send(self._chunks[self._count % len(self._chunks)])
        self._count += 1
        self.send_from(at_s + HOP_S)

    def _receive(self, _: bytes) -> None:
        self.latencies_s.append(time.perf_counter() - self._sent.popleft())


async def load(
    served: Served,
    *,
    open_line: Callable[[int], Awaitable[Line]],
    chunks: Sequence[bytes],
    streams: int,
    seconds: float,
) -> Load:
    """Load a server.

    Args:
        served: the server.
        open_line: opens a stream at a port.
        chunks: messages of 80 ms, sent in turn and over again; each gets one message in return.
        streams: how many.
        seconds: how long, after all are open.

    Raises:
        TimeoutError: a stream could not be opened.
    """
    random = np.random.default_rng(1)
    before = served.memory_bytes
    microphones: list[_Microphone] = []
    loop = asyncio.get_running_loop()
    try:
        for _ in range(streams):
            async with asyncio.timeout(OPEN_S):
                microphone = _Microphone(await open_line(served.port), chunks)
            microphones.append(microphone)
            microphone.send_from(loop.time() + random.uniform(0.0, HOP_S))
            await asyncio.sleep(1.0 / _OPEN_PER_S)
        await asyncio.sleep(_SETTLE_S)
        for microphone in microphones:
            microphone.latencies_s.clear()
            microphone.late_s.clear()
        unanswered = sum(microphone.unanswered for microphone in microphones)
        cpu_s, own_s, started_s = served.cpu_s, time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        passed_s = time.perf_counter() - started_s
        cpu_s, own_s = served.cpu_s - cpu_s, time.process_time() - own_s
        memory = served.memory_bytes
        unanswered = max(0, sum(microphone.unanswered for microphone in microphones) - unanswered)
        latencies_ms = 1e3 * np.concatenate([microphone.latencies_s for microphone in microphones])
        late_ms = 1e3 * np.concatenate([microphone.late_s for microphone in microphones])
    finally:
        for microphone in microphones:
            microphone.close()
    if not len(latencies_ms):
        raise TimeoutError("no answer came")
    p50_ms, p95_ms, p99_ms = np.percentile(latencies_ms, [50, 95, 99]).tolist()
    return Load(
        streams=streams,
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        answered=len(latencies_ms) / (len(latencies_ms) + unanswered),
        cpu_per_stream=cpu_s / passed_s / streams,
        memory_per_stream_kib=(memory - before) / streams / 1024,
        client_cpu=own_s / passed_s,
        client_late_ms=float(np.percentile(late_ms, 99)),
    )


async def open_detect(port: int) -> Line:
    """A stream of our service that answers each chunk with its score."""
    stream = (await connect(HOST, port)).call(METHOD, authority=HOST)
    opened = asyncio.get_running_loop().create_future()
    stream.on_message = opened.set_result
    stream.send(_CONFIG)
    await opened
    return stream
