"""Keeps recordings of what a model heard, and of what it nearly heard: material for its next training.

A *near miss* is a peak of the score below the threshold and at or above the near-miss threshold, by default where the
odds are a tenth of the threshold's (2.3 lower in the logit). A peak ends when the score falls below the near-miss
threshold, or one second after its highest point. One peak gives one recording; of peaks within a second the highest is
kept, and none that a detection follows within a second, or comes less than a second after one.

Each recording is a 16-bit WAV file of 3 s: two before the peak, one after. A `RecordingStore` writes them; a `Keeper`
watches one stream.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.recording_store import Kind, RecordingStore
from nanowakeword.results import Detection
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["Keeper", "near_miss_threshold"]

_BEFORE_S: Final = 2.0
_AFTER_S: Final = 1.0
# A detection may be known later than its audio: a verifier that catches up, a server.
_LATE_S: Final = 5.0
_LOG: Final = logging.getLogger(__name__)


def near_miss_threshold(threshold: float) -> float:
    """Score whose odds are a tenth of a threshold's: 0.23 for 0.75, 0.66 for 0.95."""
    odds = threshold / max(1.0 - threshold, 1e-6) / 10
    return odds / (1.0 + odds)


@dataclass
class _Peak:
    """Where a model's score is at or above the near-miss threshold."""

    score: float
    at_sample: int
    counts: bool = True


@dataclass(frozen=True)
class _Pending:
    """A recording whose last second is still to come."""

    kind: Kind
    model: str
    score: float
    at_sample: int


class Keeper:
    """Watches one stream and gives the store what is worth keeping.

    A store that refuses, because the disk is full, is reported once until it works again; the stream goes on.

    Args:
        store: where to.
        thresholds: of each model, at or above which it fires.
        near_miss: score at or above which a peak counts as a near miss. None: `near_miss_threshold` of each model.
        on_kept: called with the kind, the model, the score and the file of each recording.
        on_problem: called with what the store says. None: a line in the log.

    Raises:
        ConfigError: the near-miss threshold is not between 0 and 1.
    """

    def __init__(
        self,
        store: RecordingStore,
        *,
        thresholds: Mapping[str, float],
        near_miss: float | None = None,
        on_kept: Callable[[Kind, str, float, Path], object] | None = None,
        on_problem: Callable[[StorageError], object] | None = None,
    ) -> None:
        if near_miss is not None and not 0.0 < near_miss < 1.0:
            raise ConfigError("bad near-miss threshold", got=repr(near_miss), expected="above 0 and below 1")
        self._store = store
        self._thresholds = dict(thresholds)
        self._near = {
            name: near_miss_threshold(threshold) if near_miss is None else near_miss
            for name, threshold in self._thresholds.items()
        }
        self._on_kept = on_kept
        self._on_problem = on_problem or (lambda error: _LOG.warning("%s", error))
        self._storing = True
        self._ring: deque[Samples] = deque()
        self._ring_samples = 0
        self._samples = 0
        self._peaks: dict[str, _Peak] = {}
        self._quiet_until: dict[str, int] = {}
        self._pending: list[_Pending] = []

    def feed(self, chunk: Samples, scores: Mapping[str, float], detections: tuple[Detection, ...] = ()) -> None:
        """Take a chunk and what the models made of it.

        Args:
            chunk: int16 ``[n]``, 16 kHz mono; about 80 ms for exact times.
            scores: highest score of each model in it.
            detections: with times on the clock of all chunks fed so far.
        """
        self._remember(chunk)
        for detection in detections:
            at = min(self._samples, round(detection.end_s * SAMPLE_RATE_HZ))
            # What rose before it was the same utterance.
            self._take_near_misses(detection.model)
            self._pending.append(_Pending("detection", detection.model, detection.score, at))
            self._quiet_until[detection.model] = at + round(_AFTER_S * SAMPLE_RATE_HZ)
            if peak := self._peaks.get(detection.model):
                peak.counts = False
        if len(chunk):
            for model in self._near:
                self._watch(model, scores.get(model, 0.0))
        self._write([item for item in self._pending if item.at_sample + _AFTER_S * SAMPLE_RATE_HZ <= self._samples])

    def end(self) -> None:
        """The stream ends, or audio is missing: what waits for audio is kept as it is."""
        for model in list(self._peaks):
            self._finish_peak(model)
        self._write(list(self._pending))
        self._ring.clear()
        self._ring_samples = 0
        self._peaks.clear()

    def _remember(self, chunk: Samples) -> None:
        self._ring.append(chunk.copy())
        self._ring_samples += len(chunk)
        self._samples += len(chunk)
        most = round((_BEFORE_S + _AFTER_S + _LATE_S) * SAMPLE_RATE_HZ) + len(chunk)
        while self._ring and self._ring_samples - len(self._ring[0]) >= most:
            self._ring_samples -= len(self._ring.popleft())

    def _watch(self, model: str, score: float) -> None:
        peak = self._peaks.get(model)
        if score < self._near[model]:
            if peak is not None:
                self._finish_peak(model)
                del self._peaks[model]
            return
        if peak is None:
            counts = self._samples >= self._quiet_until.get(model, 0)
            peak = self._peaks[model] = _Peak(score, self._samples, counts)
        elif score > peak.score:
            peak.score, peak.at_sample = score, self._samples
        if self._samples - peak.at_sample >= _AFTER_S * SAMPLE_RATE_HZ:
            self._finish_peak(model)

    def _finish_peak(self, model: str) -> None:
        """A peak is over; it is a near miss unless it reached the threshold or belongs to a detection."""
        peak = self._peaks[model]
        if peak.counts and peak.score < self._thresholds[model]:
            peaks = [*self._take_near_misses(model), _Pending("near_miss", model, peak.score, peak.at_sample)]
            self._pending.append(max(peaks, key=lambda item: item.score))
        peak.counts = False

    def _take_near_misses(self, model: str) -> list[_Pending]:
        """Take out the near miss of a model that waits for its last second, if there is one."""
        taken = [item for item in self._pending if item.model == model and item.kind == "near_miss"]
        for item in taken:
            self._pending.remove(item)
        return taken

    def _write(self, items: list[_Pending]) -> None:
        now = datetime.now(UTC)
        for item in items:
            self._pending.remove(item)
            at = datetime.fromtimestamp(now.timestamp() - (self._samples - item.at_sample) / SAMPLE_RATE_HZ, UTC)
            try:
                path = self._store.save(
                    self._cut(item.at_sample),
                    at=at,
                    model=item.model,
                    score=item.score,
                    threshold=self._thresholds[item.model],
                    kind=item.kind,
                )
            except StorageError as error:
                if self._storing:
                    self._on_problem(error)
                self._storing = False
                continue
            self._storing = True
            if self._on_kept is not None:
                self._on_kept(item.kind, item.model, item.score, path)

    def _cut(self, at_sample: int) -> Samples:
        """Audio around a moment, as far as it is there."""
        first = self._samples - self._ring_samples
        audio = np.concatenate(list(self._ring)) if self._ring else np.zeros(0, np.int16)
        start = max(0, at_sample - round(_BEFORE_S * SAMPLE_RATE_HZ) - first)
        stop = max(0, at_sample + round(_AFTER_S * SAMPLE_RATE_HZ) - first)
        return audio[start:stop]
