"""Recordings through the runtime, as streams: every score that a device would have seen."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.errors import AudioError
from nanowakeword.evaluation.recordings import LeftOut, Recording
from nanowakeword.evaluation.streams import Joined, Placement, join
from nanowakeword.graph import Graph
from nanowakeword.stream import ScoreStream
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["Scores", "StreamScores", "clip_hops", "clip_peaks", "score_recordings"]

Mix = Callable[[Joined], Joined]
Report = Callable[[int, int], None]

_PIECE_SAMPLES: Final = 60 * SAMPLE_RATE_HZ // HOP_SAMPLES * HOP_SAMPLES


@dataclass(frozen=True, kw_only=True)
class StreamScores:
    """Scores of one stream.

    Attributes:
        scores: float32 ``[k]``, one per hop.
        placements: the recordings in it.
    """

    scores: Floats
    placements: tuple[Placement, ...]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of recordings.

    Attributes:
        streams: in order; each began with a new state.
        n_recordings: recordings that were read.
        seconds: their length, the gaps between them not counted.
        left_out: recordings that could not be read.
    """

    streams: tuple[StreamScores, ...]
    n_recordings: int
    seconds: float
    left_out: tuple[LeftOut, ...]

    @property
    def names(self) -> list[str]:
        """Names of the recordings that were read, in order."""
        return [place.name for stream in self.streams for place in stream.placements]

    @property
    def hours(self) -> float:
        """Length of the recordings, the gaps between them not counted."""
        return self.seconds / 3600


def score_recordings(
    graph: Graph,
    recordings: Sequence[Recording],
    *,
    gap_s: float,
    seed: int,
    mix: Mix | None = None,
    report: Report | None = None,
    threads: int | None = None,
) -> Scores:
    """Stream recordings through a model.

    Args:
        graph: the model.
        recordings: what to stream, in order.
        gap_s: near-silence between them, in seconds.
        seed: of what is random in it.
        mix: changes each stream before it is scored, for example `Babble.mix`.
        report: is told the recordings scored so far and all of them.
        threads: default: one per processor.

    Raises:
        AudioError: not one recording could be read.
        DependencyError: a recording needs an optional package that is not installed.
    """
    left_out: list[LeftOut] = []
    streams: list[StreamScores] = []
    done = 0
    threads = threads or os.cpu_count() or 1
    stopped = threading.Event()

    def score(joined: Joined) -> StreamScores:
        audio = (mix(joined) if mix else joined).audio
        stream, parts = ScoreStream(graph), []
        for start in range(0, len(audio), _PIECE_SAMPLES):
            if stopped.is_set():
                break
            parts.append(stream.feed(audio[start : start + _PIECE_SAMPLES]))
        return StreamScores(scores=np.concatenate(parts), placements=joined.placements)

    with ThreadPoolExecutor(threads) as pool:
        try:
            joined = join(recordings, gap_s=gap_s, seed=seed, leave_out=left_out.append)
            for stream in _in_order(pool, score, joined, ahead=threads + 1):
                streams.append(stream)
                done += len(stream.placements)
                if report and done + len(left_out) < len(recordings):
                    report(done + len(left_out), len(recordings))
        finally:
            stopped.set()  # an interrupt need not wait for a recording of many hours
    if report:
        report(len(recordings), len(recordings))
    if not streams:
        why = f"; the first: {left_out[0].reason}" if left_out else ""
        raise AudioError(f"none of {len(recordings)} recordings can be used{why}")
    seconds = sum(place.stop - place.start for stream in streams for place in stream.placements) / SAMPLE_RATE_HZ
    return Scores(streams=tuple(streams), n_recordings=done, seconds=seconds, left_out=tuple(left_out))


def clip_hops(place: Placement, *, tail_s: float) -> slice:
    """Hops of a stream that count for a recording: those that end after its start, at most ``tail_s`` after its end."""
    first = place.start // HOP_SAMPLES
    return slice(first, max((place.stop + round(tail_s * SAMPLE_RATE_HZ)) // HOP_SAMPLES, first + 1))


def clip_peaks(scores: Scores, *, tail_s: float) -> Floats:
    """Highest score of each recording among its `clip_hops`, float32 ``[n_recordings]``, in their order."""
    peaks = [
        stream.scores[clip_hops(place, tail_s=tail_s)].max() for stream in scores.streams for place in stream.placements
    ]
    return np.array(peaks, np.float32)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Joined], StreamScores], items: Iterator[Joined], *, ahead: int
) -> Iterator[StreamScores]:
    """Results in the order of the items, which are drawn at most ``ahead`` of them, so that memory stays bounded."""
    waiting: deque[Future[StreamScores]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
