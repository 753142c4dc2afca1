"""A server under load for a long time, with clients that come and go: is memory flat, is every detection there?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.load import connect
from benchmarks.served import HOST, METHOD, Served
from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.graph import Graph
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["Soak", "plot", "soak"]

_VISITS: Final = 24
_SHORTEST_S: Final = 5.0
_LONGEST_S: Final = 90.0
_SAMPLE_S: Final = 5.0
# With the lowest threshold most noise fires: there is something to compare.
_THRESHOLD: Final = 0.01
# A score so near the threshold may fall on either side of it: batches round in their own way.
_TOO_NEAR: Final = 1e-4
_ANSWER_S: Final = 10.0
_SCORE_TOLERANCE: Final = 1e-3


@dataclass(kw_only=True)
class Soak:
    """What a long run showed.

    Attributes:
        minutes: how long.
        streams: open at a time.
        visits: streams that were opened and ended.
        detections: that the local runtime has in the same audio, and so should the server.
        wrong: visits whose detections differ.
        failed: visits that the server ended.
        cpu: processor time over time passed.
        p50_ms: median, over answers with a detection, from the sending of the chunk that completed it.
        p99_ms: its 99th percentile.
        at_minutes: when memory was looked at.
        memory_mib: what it was.
    """

    minutes: float = 0.0
    streams: int = 0
    visits: int = 0
    detections: int = 0
    wrong: int = 0
    failed: int = 0
    cpu: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    at_minutes: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        late = [m for at, m in zip(self.at_minutes, self.memory_mib, strict=True) if at > self.minutes / 4]
        growth = late[-1] - late[0] if len(late) > 1 else 0.0
        return (
            f"{self.minutes:.1f} min, {self.streams} streams at a time, {self.visits} visits: "
            f"{self.detections} detections, {self.wrong} visits with others, {self.failed} that failed; "
            f"{self.cpu:.0%} of the core; p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms; "
            f"memory {max(self.memory_mib, default=0.0):.0f} MiB at most, {growth:+.1f} MiB in the last three quarters"
        )


@dataclass(frozen=True)
class _Visit:
    """What a client sends, and what it should be told."""

    chunks: Sequence[bytes]
    expected: Sequence[tuple[float, float]]


async def soak(served: Served, *, model: Path, streams: int, minutes: float, recordings: Path | None) -> Soak:
    """Keep a server under load.

    Args:
        served: the server.
        model: that it serves.
        streams: how many at a time.
        minutes: how long.
        recordings: folder of audio files; None: noise that comes and goes.
    """
    visits = _prepare(Graph.load(model), recordings)
    result = Soak(streams=streams)
    latencies_s: list[float] = []
    started_s, cpu_s = time.monotonic(), served.cpu_s
    end_s = started_s + 60 * minutes

    async def come_and_go(seed: int) -> None:
        random = np.random.default_rng(seed)
        await asyncio.sleep(random.uniform(0.0, 5.0))
        while time.monotonic() < end_s:
            visit = visits[random.integers(len(visits))]
            try:
                found = await _pay(served, visit, latencies_s)
            except (OSError, TimeoutError, asyncio.InvalidStateError):
                result.failed += 1
                await asyncio.sleep(1.0)
                continue
            result.visits += 1
            result.detections += len(visit.expected)
            result.wrong += not _same(found, visit.expected)

    async def watch() -> None:
        while time.monotonic() < end_s:
            result.at_minutes.append((time.monotonic() - started_s) / 60)
            result.memory_mib.append(served.memory_bytes / 2**20)
            await asyncio.sleep(_SAMPLE_S)

    await asyncio.gather(watch(), *(come_and_go(seed) for seed in range(streams)))
    result.minutes = (time.monotonic() - started_s) / 60
    result.cpu = (served.cpu_s - cpu_s) / (60 * result.minutes)
    if latencies_s:
        result.p50_ms, result.p99_ms = (1e3 * np.percentile(latencies_s, [50, 99])).tolist()
    return result


def plot(result: Soak, path: Path) -> None:
    """Draw memory over time."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    axes.plot(result.at_minutes, result.memory_mib, color="tab:blue")
    axes.set_ylim(0, 1.2 * max(result.memory_mib))
    axes.set_xlabel("minutes")
    axes.set_ylabel("memory of the server, MiB")
    axes.set_title(f"{result.streams} streams at a time, {result.visits} visits", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _prepare(graph: Graph, recordings: Path | None) -> list[_Visit]:
    """Audio, cut for the wire, and what the local runtime hears in it."""
    random = np.random.default_rng(0)
    visits: list[_Visit] = []
    while len(visits) < _VISITS:
        audio = _some_audio(random, recordings)
        stream = DetectionStream(graph, threshold=_THRESHOLD)
        heard = stream.feed(audio)
        if np.abs(stream.scores - _THRESHOLD).min() < _TOO_NEAR:
            continue
        chunks = audio.astype("<i2").reshape(-1, HOP_SAMPLES)
        messages = [pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=chunk.tobytes())) for chunk in chunks]
        visits.append(
            _Visit([message.SerializeToString() for message in messages], [(one.end_s, one.score) for one in heard])
        )
    return visits


def _some_audio(random: np.random.Generator, recordings: Path | None) -> Samples:
    """Whole hops of recordings that follow one another, or of noise that comes and goes."""
    length = round(random.uniform(_SHORTEST_S, _LONGEST_S) / HOP_S) * HOP_SAMPLES
    if recordings is None:
        loud = np.repeat(random.choice([10.0, 300.0, 3_000.0], size=length // SAMPLE_RATE_HZ + 1), SAMPLE_RATE_HZ)
        noise = random.normal(0.0, 1.0, length) * loud[:length]
        rounded: Samples = np.clip(noise, -32_768, 32_767).astype(np.int16)
        return rounded
    files = sorted(path for path in recordings.rglob("*") if path.suffix.lower() in (".wav", ".flac", ".ogg", ".mp3"))
    if not files:
        raise SystemExit(f"no recordings in {recordings}")
    parts: list[Samples] = []
    while sum(map(len, parts)) < length:
        parts.append(read_audio(files[random.integers(len(files))]))
    return np.concatenate(parts)[:length]


async def _pay(served: Served, visit: _Visit, latencies_s: list[float]) -> list[tuple[float, float]]:
    """Send a visit's audio in real time; what the server tells."""
    loop = asyncio.get_running_loop()
    connection = await connect(HOST, served.port)
    sent_s: list[float] = []
    found: list[tuple[float, float]] = []

    def receive(message: bytes) -> None:
        for one in pb.DetectResponse.FromString(message).detections:
            found.append((one.end_s, one.score))
            latencies_s.append(time.monotonic() - sent_s[round(one.end_s / HOP_S) - 1])

    try:
        stream = connection.call(METHOD, authority=HOST)
        stream.on_message = receive
        selection = pb.ModelSelection(threshold=_THRESHOLD)
        stream.send(pb.DetectRequest(config=pb.DetectConfig(models=[selection])).SerializeToString())
        at_s = loop.time()
        for chunk in visit.chunks:
            await asyncio.sleep(at_s - loop.time())
            if stream.ended.done():
                raise OSError("the server ended the stream")
            sent_s.append(time.monotonic())
            stream.send(chunk)
            at_s += HOP_S
        stream.finish()
        await asyncio.wait_for(stream.ended, _ANSWER_S)
    finally:
        connection.close()
    return found


def _same(found: Sequence[tuple[float, float]], expected: Sequence[tuple[float, float]]) -> bool:
    return len(found) == len(expected) and all(
        abs(one[0] - other[0]) < HOP_S / 2 and abs(one[1] - other[1]) < _SCORE_TOLERANCE
        for one, other in zip(found, expected, strict=True)
    )
