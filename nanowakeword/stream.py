"""One stream of audio through one model: pieces of any length in, detections out, on the stream's own clock.

    stream = DetectionStream(Graph.load("hey_nano.onnx"))
    for chunk in microphone:                    # int16, 16 kHz, mono, any length
        for detection in stream.feed(chunk):
            print(detection.phrase, detection.end_s)

How a recording is cut into pieces changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.audio import check_chunk
from nanowakeword.card import ModelCard
from nanowakeword.graph import Graph
from nanowakeword.postfilter import Event, PostFilter, check_patience, check_refractory, check_threshold
from nanowakeword.results import Detection
from nanowakeword.timing import HOP_S, HOP_SAMPLES

__all__ = ["DetectionStream", "HopBuffer", "ScoreJudge", "ScoreStream", "to_detection"]

# 4 s of audio in one run of the graph: per hop faster than shorter runs, and than longer ones, which leave the cache.
_RUN_SAMPLES: Final = 50 * HOP_SAMPLES
_NO_SCORES: Final[Floats] = np.zeros(0, np.float32)


class HopBuffer:
    """Collects audio of any length into whole hops."""

    def __init__(self) -> None:
        self._rest: Samples = np.zeros(0, np.int16)

    @property
    def waiting_samples(self) -> int:
        """Samples that wait for the rest of their hop, fewer than 1,280."""
        return len(self._rest)

    def take(self, audio: Samples) -> Samples:
        """Add int16 ``[n]`` and take out all whole hops, int16 ``[1280*k]``, ``k >= 0``."""
        if len(self._rest):
            audio = np.concatenate([self._rest, audio])
        waiting = len(audio) % HOP_SAMPLES
        if not waiting and not len(self._rest):
            return audio  # whole hops, as most programs send them
        whole = len(audio) - waiting
        # A copy: the caller may fill the same array again.
        self._rest = audio[whole:].copy()
        return audio[:whole]


class ScoreStream:
    """Audio to scores: a model, the audio that waits, and the state.

    Args:
        graph: the model; many streams may share it, in any threads.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._buffer = HopBuffer()
        self._state = graph.zero_state()

    @property
    def waiting_samples(self) -> int:
        """Samples that wait for the rest of their hop, fewer than 1,280."""
        return self._buffer.waiting_samples

    def feed(self, audio: Samples) -> Floats:
        """Take int16 ``[n]`` at 16 kHz, any ``n``, and return the scores of the hops that it completes.

        Returns:
            float32 ``[k]``, ``k >= 0``.

        Raises:
            AudioError: the audio is not int16 or not mono.
        """
        ready = self._buffer.take(check_chunk(audio))
        if not len(ready):
            return _NO_SCORES
        parts = []
        for start in range(0, len(ready), _RUN_SAMPLES):
            score, self._state, _ = self._graph.run(ready[None, start : start + _RUN_SAMPLES], self._state)
            parts.append(score[0])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def flush(self) -> Floats:
        """Complete the last hop with silence, for recordings that end; as `feed`."""
        return self.feed(np.zeros(-self._buffer.waiting_samples % HOP_SAMPLES, np.int16))


class ScoreJudge:
    """Turns one stream's scores into detections, wherever the scores come from.

    Args:
        card: the model's.
        threshold: score at or above which it fires. None: the model's own.
        patience: hops in a row that must reach the threshold.
        refractory_s: seconds after a detection in which nothing fires. None: the model's own.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self, card: ModelCard, *, threshold: float | None = None, patience: int = 1, refractory_s: float | None = None
    ) -> None:
        self.card = card
        self.threshold = card.threshold if threshold is None else check_threshold(threshold)
        self.patience = check_patience(patience)
        self.refractory_s = card.refractory_s if refractory_s is None else check_refractory(refractory_s)
        self.restart()

    def restart(self) -> None:
        """Begin a new stream."""
        self._filter = PostFilter()
        self._scores = _NO_SCORES

    @property
    def scores(self) -> Floats:
        """Scores of the hops that became known last, float32 ``[k]``, ``k >= 0``."""
        return self._scores

    @property
    def first_hop(self) -> int:
        """Number, within the stream, of the hop that `scores` begins with."""
        return self._filter.hops - len(self._scores)

    @property
    def processed_samples(self) -> int:
        """Samples judged so far; later ones wait for the rest of their hop."""
        return self._filter.hops * HOP_SAMPLES

    def judge(self, scores: Floats) -> list[Detection]:
        """Take the scores of the next hops, float32 ``[k]``, ``k >= 0``, and return what was heard, oldest first."""
        self._scores = scores
        events = self._filter.push(
            scores, threshold=self.threshold, patience=self.patience, refractory_s=self.refractory_s
        )
        return [to_detection(event, card=self.card, patience=self.patience) for event in events]


class DetectionStream(ScoreJudge):
    """Listens to one microphone or recording.

    Args:
        graph: the model; many streams may share it, in any threads.
        threshold: score at or above which it fires. None: the model's own.
        patience: hops in a row that must reach the threshold.
        refractory_s: seconds after a detection in which nothing fires. None: the model's own.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self, graph: Graph, *, threshold: float | None = None, patience: int = 1, refractory_s: float | None = None
    ) -> None:
        super().__init__(graph.card, threshold=threshold, patience=patience, refractory_s=refractory_s)
        self.graph = graph
        self._stream = ScoreStream(graph)

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a new stream."""
        self._stream = ScoreStream(self.graph)
        self.restart()

    def feed(self, audio: Samples) -> list[Detection]:
        """Listen to int16 audio ``[n]`` at 16 kHz, any ``n``, and return what was heard, oldest first.

        Raises:
            AudioError: the audio is not int16 or not mono.
        """
        return self.judge(self._stream.feed(audio))

    def flush(self) -> list[Detection]:
        """Complete the last hop with silence, for recordings that end, and return what was heard."""
        return self.judge(self._stream.flush())


def to_detection(event: Event, *, card: ModelCard, patience: int) -> Detection:
    """An event of a model's scores, in seconds."""
    return Detection(
        phrase=card.phrase,
        score=event.score,
        start_s=(event.hop + 1 - patience) * HOP_S,
        end_s=(event.hop + 1) * HOP_S,
        model=card.name,
    )
