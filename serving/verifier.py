"""One stream of features through a model's heads: what `DetectionStream` is for audio."""

from __future__ import annotations

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.card import ModelCard
from nanowakeword.heads import Heads
from nanowakeword.postfilter import PostFilter, check_threshold
from nanowakeword.results import Detection
from nanowakeword.stream import to_detection
from nanowakeword.timing import HOP_SAMPLES
from serving.errors import ProtocolError

__all__ = ["VerifierStream"]


class VerifierStream:
    """Listens to the features of one stream.

    Args:
        heads: the model's heads; many streams may share them.
        card: the model's card.
        threshold: score at or above which it fires.

    Raises:
        ConfigError: the threshold is out of range.
    """

    def __init__(self, heads: Heads, *, card: ModelCard, threshold: float) -> None:
        self.threshold = check_threshold(threshold)
        self._heads = heads
        self._card = card
        self._state = heads.zero_state()
        self._filter = PostFilter()
        self._scores: Floats = np.zeros(0, np.float32)

    @property
    def scores(self) -> Floats:
        """Scores of the hops of the last `feed`, float32 ``[k]``."""
        return self._scores

    @property
    def first_hop(self) -> int:
        """Number, within the stream, of the hop that `scores` begins with."""
        return self._filter.hops - len(self._scores)

    @property
    def processed_samples(self) -> int:
        """Samples that the features judged so far were made of."""
        return self._filter.hops * HOP_SAMPLES

    def feed(self, features: Floats) -> list[Detection]:
        """Listen to whole hops of features, float32 ``[k*r, f]``, ``k >= 0``, and return what was heard.

        Raises:
            ProtocolError: they are so large that the heads give no score.
        """
        scores: Floats = np.zeros(0, np.float32)
        if len(features):
            judged, self._state = self._heads.run(features[None], self._state)
            scores = judged[0]
            if not np.isfinite(scores).all():
                raise ProtocolError("features that no audio gives", got=f"values of up to {np.abs(features).max():.3g}")
        self._scores = scores
        events = self._filter.push(scores, threshold=self.threshold, refractory_s=self._card.refractory_s)
        return [to_detection(event, card=self._card, patience=1) for event in events]

    def flush(self) -> list[Detection]:
        """End the stream; features come in whole hops, so nothing is left to judge."""
        return self.feed(np.zeros((0, self._heads.feature_shape[1]), np.float32))
