"""Audio to scores, whoever computes them: models here, models that sleep until something wakes them, or a server.

Everything below works in whole hops of 1,280 samples and numbers them from its last ``reset``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from nanowakeword.arrays import Floats, Samples
from nanowakeword.card import ModelCard
from nanowakeword.graph import Graph
from nanowakeword.heads import SharedHeads
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["RUN_HOPS", "Judged", "LocalScorer", "Scorer", "Trigger"]

# 4 s of audio in one run of a graph: per hop faster than shorter runs, and than longer ones, which leave the cache.
RUN_HOPS: Final = 50
# Of a model whose card does not tell: longer than any phrase.
_UNKNOWN_CONTEXT_HOPS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Scores of hops that follow one another.

    Attributes:
        first_hop: number, since the scorer's last reset, of the hop that the scores begin with.
        scores: by model name, float32 ``[n]``, ``n >= 1``, the same ``n`` for all.
    """

    first_hop: int
    scores: Mapping[str, Floats]


class Scorer(Protocol):
    """Takes audio, gives scores: now, later, or never."""

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """Model cards by model name; a server's are known once it has answered."""

    @property
    def context_hops(self) -> int:
        """Past hops that can change a score: what a stream has to hear before its scores are those of a longer one."""

    def reset(self) -> None:
        """Begin a new stream, as after long silence; what is not answered yet never will be."""

    def feed(self, hops: Samples) -> list[Judged]:
        """Take the next hops, int16 ``[1280*k]``, ``k >= 0``, and return what is known by now, oldest first.

        No hop is judged twice. A hop that is left out, because the scorer slept or its server was away, is never
        judged.
        """


class Trigger(Protocol):
    """Decides, hop by hop, whether what stands behind it should run."""

    @property
    def context_hops(self) -> int:
        """Past hops that can change a decision."""

    def reset(self) -> None:
        """Begin a new stream."""

    def feed(self, hops: Samples) -> NDArray[np.bool_]:
        """Decisions ``[k]`` about the next hops, int16 ``[1280*k]``, ``k >= 0``."""


class LocalScorer:
    """Runs models in this process; those that share front ends compute them once.

    Args:
        models: graphs, and heads that take a graph's features; that graph is among them.
    """

    def __init__(self, models: Sequence[Graph | SharedHeads]) -> None:
        self._cards = {model.card.name: model.card for model in models}
        self._groups = [
            _Group(model, [other for other in models if isinstance(other, SharedHeads) and other.source is model])
            for model in models
            if isinstance(model, Graph)
        ]
        self.context_hops = max(map(_context_hops, self._cards.values()))
        self.reset()

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """Model cards by model name."""
        return self._cards

    def reset(self) -> None:
        """Begin a new stream."""
        self._hops = 0
        for group in self._groups:
            group.reset()

    def feed(self, hops: Samples) -> list[Judged]:
        """Judge int16 ``[1280*k]`` at once; one `Judged` with a score per hop, or none for ``k = 0``."""
        if not len(hops):
            return []
        first, self._hops = self._hops, self._hops + len(hops) // HOP_SAMPLES
        scores: dict[str, Floats] = {}
        for group in self._groups:
            group.feed(hops, scores)
        return [Judged(first_hop=first, scores=scores)]


class _Group:
    """One graph, the heads that use its features, and the states of all."""

    def __init__(self, graph: Graph, heads: Sequence[SharedHeads]) -> None:
        self._graph = graph
        self._heads = heads

    def reset(self) -> None:
        self._state = self._graph.zero_state()
        self._head_states = [heads.zero_state() for heads in self._heads]

    def feed(self, hops: Samples, scores: dict[str, Floats]) -> None:
        """Add the scores of all models of the group to ``scores``."""
        name = self._graph.card.name
        for start in range(0, len(hops), RUN_HOPS * HOP_SAMPLES):
            part = hops[None, start : start + RUN_HOPS * HOP_SAMPLES]
            score, self._state, features = self._graph.run(part, self._state)
            _extend(scores, name, score[0])
            for index, heads in enumerate(self._heads):
                score, self._head_states[index] = heads.run(features, self._head_states[index])
                _extend(scores, heads.card.name, score[0])


def _extend(scores: dict[str, Floats], name: str, more: Floats) -> None:
    scores[name] = np.concatenate([scores[name], more]) if name in scores else more


def _context_hops(card: ModelCard) -> int:
    samples = card.receptive_field_samples
    return _UNKNOWN_CONTEXT_HOPS if samples is None else -(-samples // HOP_SAMPLES)
