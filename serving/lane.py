"""Streams that run the same models, and so can be judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.graph import Graph
from nanowakeword.heads import Heads
from nanowakeword.timing import HOP_SAMPLES
from serving.errors import ProtocolError
from serving.models import ServedModel
from serving.slots import Slots

__all__ = ["Lane"]


class _Part(NamedTuple):
    """What judges for one model: a whole graph, or heads on the features of an earlier part or of the client."""

    name: str
    runs: Graph | Heads
    source: int | None


class Lane:
    """The models of some streams and the states of these streams.

    A model whose front ends an earlier one has runs its heads alone, on the features of the other.

    Args:
        models: in the order in which they run.
        takes_features: whether the streams are of features, and not of audio.

    Raises:
        ProtocolError: a model is not served this way, or two take different features.

    Attributes:
        name: names of the models.
        slots: the states.
        streams: those open now.
        feature_shape: rows in a hop of features, and their width; None: the streams are of audio.
        step: samples, or rows of features, in a hop.
        cost_s: processor time that a hop of one stream takes, seconds, in a batch.
    """

    def __init__(self, models: Sequence[ServedModel], *, takes_features: bool) -> None:
        self.name = "+".join(model.name for model in models)
        self._parts: list[_Part] = []
        self.streams = 0
        self.feature_shape: tuple[int, int] | None = None
        self.step = HOP_SAMPLES
        self.cost_s = 0.0
        for model in models:
            source = None if takes_features else self._find_source(model, models)
            if takes_features or source is not None:
                self._parts.append(_Part(model.name, model.for_features(), source))
                self.cost_s += model.heads_cost_s
            else:
                self._parts.append(_Part(model.name, model.for_audio(), None))
                self.cost_s += model.graph_cost_s
        if takes_features:
            shapes = {model.for_features().feature_shape for model in models}
            if len(shapes) > 1:
                raise ProtocolError(
                    "models that take different features on one stream", got=", ".join(model.name for model in models)
                )
            self.feature_shape = shapes.pop()
            self.step = self.feature_shape[0]
        self.slots = Slots([part.runs.card.state_size for part in self._parts])

    def run(self, pieces: Sequence[Any], slots: Sequence[int]) -> Mapping[str, Floats]:
        """Judge the next hops of some streams; where it fails, no stream has changed.

        Args:
            pieces: of each stream, int16 ``[1280*k]`` or float32 ``[k*r, f]``, the same ``k >= 1`` for all.
            slots: their rows.

        Returns:
            By model, scores float32 ``[b, k]``.

        Raises:
            ProtocolError: features are so large that the heads give no score.
        """
        stacked = np.concatenate(pieces).reshape(len(pieces), *pieces[0].shape)
        states = self.slots.gather(slots)
        scores: dict[str, Floats] = {}
        features: list[Floats | None] = []
        for index, part in enumerate(self._parts):
            made = None
            if isinstance(part.runs, Graph):
                scores[part.name], states[index], made = part.runs.run(stacked, states[index])
            else:
                given = stacked if part.source is None else features[part.source]
                scores[part.name], states[index] = part.runs.run(given, states[index])  # type: ignore[arg-type]
            features.append(made)
        if self.feature_shape and not all(np.isfinite(values).all() for values in scores.values()):
            raise ProtocolError("features that no audio gives", got=f"values of up to {np.abs(stacked).max():.3g}")
        self.slots.scatter(slots, states)
        return scores

    def _find_source(self, model: ServedModel, models: Sequence[ServedModel]) -> int | None:
        """The earlier part whose features this model's heads can take."""
        if model.heads is None or not model.card.fingerprints:
            return None
        for index, (part, other) in enumerate(zip(self._parts, models, strict=False)):
            if isinstance(part.runs, Graph) and other.card.fingerprints == model.card.fingerprints:
                return index
        return None
