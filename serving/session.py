"""One stream: the audio that waits for the rest of its hop, its place among the others, and what its scores mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.audio import check_chunk
from nanowakeword.results import Detection
from nanowakeword.stream import HopBuffer, ScoreJudge
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from serving.capture import CapturedStream
from serving.models import ServedModel
from serving.seat import Seat

__all__ = ["Heard", "Session"]

_NO_SCORES: Floats = np.zeros(0, np.float32)


class Heard(NamedTuple):
    """What one piece of audio told.

    Attributes:
        detections: phrases heard, oldest first.
        scores: by model, the scores of the hops that the piece completed, float32 ``[k]``.
        first_hop: number of the first of those hops, counted from 0 at the start of the stream.
        processed_samples: samples of the stream that were judged so far.
    """

    detections: Sequence[Detection]
    scores: Mapping[str, Floats]
    first_hop: int
    processed_samples: int


class Session:
    """A stream that `Engine.open` opened. For the event loop; one `Engine.feed` at a time.

    Args:
        seat: where it is judged.
        judges: by model name, in the order asked for, at least one.
        models: by name, what is served under this name, as far as the stream knows.
        generation: of the library when it was opened.
        pre_roll_hops: hops at the beginning in which nothing fires.

    Attributes:
        feature_shape: rows in a hop of features, and their width; None: the stream is of audio.
        captured: keeps what is worth it; None: nothing is.
        replaced: names of models that were replaced and that the stream has not been told of.
        is_open: until `Engine.close_session`.
    """

    def __init__(
        self,
        seat: Seat,
        *,
        judges: Mapping[str, ScoreJudge],
        models: dict[str, ServedModel],
        generation: int,
        pre_roll_hops: int = 0,
    ) -> None:
        self.seat = seat
        self.models = models
        self.feature_shape = shape = seat.lane.feature_shape
        self.captured: CapturedStream | None = None
        self.generation = generation
        self.replaced: list[str] = []
        self.is_open = True
        self._pre_roll_hops = pre_roll_hops
        self._judges = judges
        self._hops = 0
        self._buffer = HopBuffer()
        self._sample_step = 1 if shape is None else HOP_SAMPLES // shape[0]
        self._samples = 0

    @property
    def thresholds(self) -> dict[str, float]:
        """By model, the score at or above which it fires."""
        return {name: judge.threshold for name, judge in self._judges.items()}

    @property
    def seconds(self) -> float:
        """Length of the audio that came so far, seconds."""
        return self._samples / SAMPLE_RATE_HZ

    @property
    def lag_s(self) -> float:
        """How long the last piece waited before it was judged, seconds."""
        return self.seat.lag_s

    def take(self, piece: Any) -> Any:
        """Take a piece, int16 ``[n]`` or float32 ``[k*r, f]``, and return the whole hops there are by now."""
        self._samples += len(piece) * self._sample_step
        return self._buffer.take(check_chunk(piece)) if self.feature_shape is None else piece

    def rest(self) -> Any:
        """The last hop, completed with silence; empty where no samples wait."""
        return self._buffer.take(np.zeros(-self._buffer.waiting_samples % HOP_SAMPLES, np.int16))

    def judge(self, scores: Mapping[str, Floats] | None) -> Heard:
        """Take the scores of the next hops, by model; None: no hop was completed."""
        first = self._hops
        if scores is None:
            return Heard((), dict.fromkeys(self._judges, _NO_SCORES), first, first * HOP_SAMPLES)
        deaf = self._pre_roll_hops - first
        detections: list[Detection] = []
        for name, judge in self._judges.items():
            values = scores[name]
            self._hops = first + len(values)  # of all models the same
            detections += judge.judge(values if deaf <= 0 else _without_first(values, deaf))
        if len(detections) > 1:
            detections.sort(key=lambda one: one.end_s)
        return Heard(detections, scores, first, self._hops * HOP_SAMPLES)


def _without_first(scores: Floats, hops: int) -> Floats:
    """Scores of which the first ones fire nothing; nor do they silence what follows, as a hidden detection would."""
    muted = scores.copy()
    muted[:hops] = 0.0
    return muted
