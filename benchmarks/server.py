"""How many real-time streams one core of the server holds, and whether it holds them for an hour.

The server is `python -m serving`, a process of its own pinned to one core; the clients (`benchmarks/load.py`) run here,
pinned to another. Each stream has a connection of its own and sends 80 ms every 80 ms, at a phase of its own. Added
latency is from the moment a chunk was sent to the moment its score is here. The floor, in the same run, is a server
that parses each message and answers with a score, and does nothing else.

    W=workspaces/alexa/output
    # latency, processor time and memory at given numbers of streams, batching on and off
    python -m benchmarks.server $W/alexa.onnx $W/alexa_lite.onnx --streams 50 100 150 --json server.json
    # the largest number of streams whose 99th percentile is under 80 ms, of the floor and of each model
    python -m benchmarks.server $W/alexa.onnx $W/alexa_lite.onnx EMBEDDING.onnx --find --seconds 20 --json found.json
    # one hour at 80 % of what was found, with clients that come and go
    python -m benchmarks.server $W/alexa.onnx --soak 60 --capacity 150 --recordings FOLDER --json s.json --plot s.png

EMBEDDING.onnx is a detector with the speech embedding alone (`frontends: [speech_embedding]` in params.yaml). All of
this wants a machine that does nothing else, with two cores or more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.load import Connection, connect
from benchmarks.served import HOST, METHOD, Served, serve_floor, serve_models
from benchmarks.soak import plot, soak
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from nanowakeword.v1 import wakeword_pb2 as pb

LIMIT_MS: Final = 80.0
OPEN_PER_S: Final = 200
OPEN_S: Final = 10.0
SETTLE_S: Final = 1.0
FLOOR: Final = "floor"
CONFIG: Final = pb.DetectRequest(config=pb.DetectConfig(output=pb.DETECT_OUTPUT_SCORES)).SerializeToString()
# What the search tries: 25, then a quarter more each time, then between the last two.
FIRST: Final = 25
STEP: Final = 1.25
NEAR: Final = 0.03


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one run showed.

    Attributes:
        name: the model, or the floor.
        max_batch: most streams in one run of the model.
        streams: how many.
        p50_ms: median of the added latency.
        p95_ms: its 95th percentile.
        p99_ms: its 99th.
        answered: share of the chunks that were answered by the end, those sent in its last 80 ms left out.
        cpu_per_stream: processor time of the server over time passed, per stream.
        memory_per_stream_kib: memory of the server with all streams above that without one, per stream.
        client_cpu: processor time of the clients over time passed; near 1 they are what is slow.
    """

    name: str
    max_batch: int
    streams: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    answered: float
    cpu_per_stream: float
    memory_per_stream_kib: float
    client_cpu: float

    @property
    def holds(self) -> bool:
        """Whether every stream is judged in time."""
        return self.p99_ms < LIMIT_MS and self.answered > 0.999


class Microphone:
    """A stream that sends 80 ms every 80 ms.

    Attributes:
        opened: done when the server has answered the first message.
        latencies_s: of the answers so far.
    """

    def __init__(self, connection: Connection, chunks: Sequence[bytes]) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_s: list[float] = []
        self._connection = connection
        self._chunks = chunks
        self._sent: deque[float] = deque()
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stream = connection.call(METHOD, authority=HOST)
        self._stream.on_message = self._open
        self._stream.send(CONFIG)

    @property
    def unanswered(self) -> int:
        """Chunks sent more than 80 ms ago that have no answer."""
        limit_s = time.perf_counter() - HOP_S
        return sum(sent_s < limit_s for sent_s in self._sent)

    def send_from(self, at_s: float) -> None:
        """Send a chunk at a moment of the loop's clock, and every 80 ms from then on."""
        self._timer = asyncio.get_running_loop().call_at(at_s, self._send, at_s)

    def close(self) -> None:
        """End the stream and the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close()

    def _send(self, at_s: float) -> None:
        self._sent.append(time.perf_counter())
        self._stream.send(self._chunks[self._count % len(self._chunks)])
        self._count += 1
        self.send_from(at_s + HOP_S)

    def _open(self, _: bytes) -> None:
        self.opened.set_result(None)
        self._stream.on_message = self._receive

    def _receive(self, _: bytes) -> None:
        self.latencies_s.append(time.perf_counter() - self._sent.popleft())


def noise_chunks() -> list[bytes]:
    """Two seconds of noise, as messages."""
    audio = np.random.default_rng(0).normal(0.0, 1_000.0, (25, HOP_SAMPLES)).astype("<i2")
    return [pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=hop.tobytes())).SerializeToString() for hop in audio]


async def measure(served: Served, *, name: str, max_batch: int, streams: int, seconds: float) -> Row:
    """Load a server."""
    chunks = noise_chunks()
    random = np.random.default_rng(1)
    before = served.memory_bytes
    microphones: list[Microphone] = []
    loop = asyncio.get_running_loop()
    for _ in range(streams):
        microphone = Microphone(await connect(HOST, served.port), chunks)
        async with asyncio.timeout(OPEN_S):
            await microphone.opened
        microphones.append(microphone)
        microphone.send_from(loop.time() + random.uniform(0.0, HOP_S))
        await asyncio.sleep(1.0 / OPEN_PER_S)
    await asyncio.sleep(SETTLE_S)
    for microphone in microphones:
        microphone.latencies_s.clear()
    late = sum(microphone.unanswered for microphone in microphones)
    cpu_s, own_s, started_s = served.cpu_s, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    passed_s = time.perf_counter() - started_s
    cpu_s, own_s = served.cpu_s - cpu_s, time.process_time() - own_s
    memory = served.memory_bytes
    late = sum(microphone.unanswered for microphone in microphones) - late
    latencies_ms = 1e3 * np.concatenate([microphone.latencies_s for microphone in microphones])
    for microphone in microphones:
        microphone.close()
    p50_ms, p95_ms, p99_ms = np.percentile(latencies_ms, [50, 95, 99]) if len(latencies_ms) else [float("inf")] * 3
    return Row(
        name=name,
        max_batch=max_batch,
        streams=streams,
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        answered=len(latencies_ms) / (len(latencies_ms) + max(late, 0)),
        cpu_per_stream=cpu_s / passed_s / streams,
        memory_per_stream_kib=(memory - before) / streams / 1024,
        client_cpu=own_s / passed_s,
    )


def run(model: Path | None, *, max_batch: int, streams: int, seconds: float) -> Row:
    """Start a server, load it, stop it. Of no model: the floor."""
    with serve_floor() if model is None else serve_models([model], max_batch=max_batch) as served:
        name = FLOOR if model is None else model.stem
        row = asyncio.run(measure(served, name=name, max_batch=max_batch, streams=streams, seconds=seconds))
    print(
        f"{row.name:<24}{row.max_batch:>6}{row.streams:>8}{row.p50_ms:>9.2f}{row.p95_ms:>9.2f}{row.p99_ms:>9.2f}"
        f"{row.answered:>10.2%}{1e3 * row.cpu_per_stream:>9.2f}{row.memory_per_stream_kib:>9.0f}{row.client_cpu:>9.0%}",
        flush=True,
    )
    return row


def find(model: Path | None, *, max_batch: int, seconds: float) -> list[Row]:
    """Search the largest number of streams that a server holds."""
    rows: list[Row] = []

    def holds(streams: int) -> bool:
        try:
            rows.append(run(model, max_batch=max_batch, streams=streams, seconds=seconds))
        except TimeoutError:
            print(f"{streams} streams: one could not be opened in {OPEN_S:g} s")
            return False
        return rows[-1].holds

    low, high = 0, FIRST
    while holds(high):
        low, high = high, round(high * STEP)
    while high - low > max(1, NEAR * low):
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    print(f"-> {low} streams", flush=True)
    return rows


def main() -> None:
    """Run what is asked for, print it, write the files."""
    gc.disable()  # the clients' own pauses are not the server's
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="M.onnx")
    parser.add_argument("--streams", type=int, nargs="+", default=[50], metavar="N", help="numbers of streams (50)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement (10)")
    parser.add_argument("--find", action="store_true", help="search the largest number of streams instead")
    parser.add_argument("--max-batch", type=int, nargs="+", default=[1, 32], metavar="B", help="1: no batching (1 32)")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="load the first model for so long instead")
    parser.add_argument("--capacity", type=int, default=100, help="of the soak: streams that the core holds (100)")
    parser.add_argument("--share", type=float, default=0.8, help="of the soak: share of them (0.8)")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="of the soak: real audio (noise)")
    parser.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="of the soak: draw memory over time")
    options = parser.parse_args()
    facts: dict[str, Any] = {}
    if options.soak is not None:
        with serve_models(options.models[:1], max_batch=max(options.max_batch)) as served:
            result = asyncio.run(
                soak(
                    served,
                    model=options.models[0],
                    streams=round(options.share * options.capacity),
                    minutes=options.soak,
                    recordings=options.recordings,
                )
            )
        print(result)
        facts = asdict(result)
        if options.plot is not None:
            plot(result, options.plot)
    else:
        titles = ("batch", "streams", "p50 ms", "p95 ms", "p99 ms", "answered", "cpu ms/s", "KiB", "clients")
        widths = (6, 8, 9, 9, 9, 10, 9, 9, 9)
        print(f"{'':<24}" + "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True)))
        plans: list[tuple[Path | None, int]] = [
            (None, 1),
            *((model, b) for model in options.models for b in options.max_batch),
        ]
        for model, max_batch in plans:
            if options.find:
                rows = find(model, max_batch=max_batch, seconds=options.seconds)
            else:
                rows = [run(model, max_batch=max_batch, streams=n, seconds=options.seconds) for n in options.streams]
            facts.setdefault("rows", []).extend(asdict(row) for row in rows)
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
