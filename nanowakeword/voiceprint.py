"""What a verifier of voices looks at: the features of a model, over the hops before it fired.

The model's graph runs from silence over the last 2 s, so that its features see what came before the phrase, and the
features of the last `_POOLED_HOPS` are pooled: their means over time, and their deviations. Fewer hops would miss half
of the phrase, more take in what was before it; 8 was the best of 7 to 25 with real speakers of two phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.graph import Graph
from nanowakeword.logistic import Doubles
from nanowakeword.stream import ScoreStream
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["WINDOW_SAMPLES", "find_phrase", "hop_scores", "likely_hops", "utterance", "voiceprints"]

_WINDOW_HOPS: Final = 25
WINDOW_SAMPLES: Final = _WINDOW_HOPS * HOP_SAMPLES
_POOLED_HOPS: Final = 8
_TAIL_HOPS: Final = 8
_JITTER_HOPS: Final = (0, -1, 1)
_BATCH: Final = 16  # windows in one run of the graph: quick, and 50 MB at most


def hop_scores(graph: Graph, clip: Samples) -> Floats:
    """Scores of int16 ``[n]`` and of the silence after it, in which a phrase at its end is still heard."""
    stream = ScoreStream(graph)
    scores = [stream.feed(clip), stream.flush(), stream.feed(np.zeros(_TAIL_HOPS * HOP_SAMPLES, np.int16))]
    return np.concatenate(scores)


def find_phrase(scores: Floats, *, threshold: float) -> int | None:
    """Hop at which a model fires first, or None."""
    hops = np.flatnonzero(scores >= threshold)
    return int(hops[0]) if len(hops) else None


def likely_hops(scores: Floats, *, spacing_hops: int, most: int) -> list[int]:
    """Hops of the highest scores, one in each piece of ``spacing_hops``, of ``most`` pieces spread evenly."""
    starts = range(0, len(scores), spacing_hops)
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(most, len(starts))).astype(int))
    return [starts[i] + int(scores[starts[i] :][:spacing_hops].argmax()) for i in chosen]


def utterance(graph: Graph, clip: Samples, hop: int) -> Doubles:
    """Voiceprints of a phrase at whose end a hop fired, float64 ``[3, 2*f]``: of that hop and of its neighbours.

    A model does not fire at the same place in every utterance; with the neighbours a verifier learns not to mind.
    """
    return voiceprints(graph, clip, [hop + shift for shift in _JITTER_HOPS])


def voiceprints(graph: Graph, clip: Samples, hops: Sequence[int]) -> Doubles:
    """Pooled features of the windows of a clip that end with some of its hops; silence is around the clip.

    Args:
        graph: the model.
        clip: int16 ``[n]``.
        hops: ``h`` of them.

    Returns:
        float64 ``[h, 2*f]``: means, then deviations.
    """
    end = (max(hops) + 1) * HOP_SAMPLES
    padded = np.pad(clip, (WINDOW_SAMPLES, max(0, end - len(clip))))
    windows = np.stack([padded[(hop + 1) * HOP_SAMPLES :][:WINDOW_SAMPLES] for hop in hops])  # [h, window]
    parts = []
    for start in range(0, len(windows), _BATCH):
        batch = windows[start : start + _BATCH]
        _, _, features = graph.run(batch, graph.zero_state(len(batch)))  # [h, 25*r, f]
        pooled = features[:, -_POOLED_HOPS * graph.frames_per_hop :].astype(np.float64)  # [h, 8*r, f]
        parts.append(np.concatenate([pooled.mean(axis=1), pooled.std(axis=1)], axis=1))
    return np.concatenate(parts)
