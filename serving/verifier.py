"""One stream of features through a model's heads: what `DetectionStream` is for audio."""

from __future__ import annotations

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.card import ModelCard
from nanowakeword.heads import Heads
from nanowakeword.results import Detection
from nanowakeword.stream import ScoreJudge
from serving.errors import ProtocolError

__all__ = ["VerifierStream"]


class VerifierStream(ScoreJudge):
    """Listens to the features of one stream.

    Args:
        heads: the model's heads; many streams may share them.
        card: the model's card.
        threshold: score at or above which it fires.

    Raises:
        ConfigError: the threshold is out of range.
    """

    def __init__(self, heads: Heads, *, card: ModelCard, threshold: float) -> None:
        super().__init__(card, threshold=threshold)
        self._heads = heads
        self._state = heads.zero_state()

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
        return self.judge(scores)

    def flush(self) -> list[Detection]:
        """End the stream; features come in whole hops, so nothing is left to judge."""
        return self.judge(np.zeros(0, np.float32))
