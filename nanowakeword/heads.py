"""Heads without front ends: features and a state in, scores and the next state out.

The file ``NAME_head.onnx`` lies beside ``NAME.onnx``. A server runs it on features that come from the edge; and where
two models have the same front ends, the second needs only its heads, on the features of the first:

    features float32 [b, k*r, f]   the output `features` of a graph with the same front ends
    state    float32 [b, s]        zeros mean "after digital silence"
    ->
    score      float32 [b, k]
    next_state float32 [b, s]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.graph import Graph, open_model
from nanowakeword.onnx_card import read_card

__all__ = ["Heads", "SharedHeads", "load_sharing"]

_INPUTS: Final = {"features": ("tensor(float)", 3), "state": ("tensor(float)", 2)}
_OUTPUTS: Final = {"score": ("tensor(float)", 2), "next_state": ("tensor(float)", 2)}
_ALL: Final = ["score", "next_state"]


class Heads:
    """A loaded head file. Holds no stream: state goes in and comes out. Use `load`.

    Attributes:
        card: the model card.
        path: the file.
        feature_shape: rows that a hop has in ``features``, and their width.
    """

    def __init__(self, run: Any, card: ModelCard, path: Path) -> None:
        self.card = card
        self.path = path
        self.feature_shape = _feature_shape(card, path)
        self._run = run
        rows, width = self.feature_shape
        try:
            score, state = self.run(np.zeros((2, 2 * rows, width), np.float32), self.zero_state(2))
        except Exception as error:  # onnxruntime's exceptions have no common root
            raise ModelError(f"{path} does not run: {error}", hint="Copy it again") from None
        if score.shape != (2, 2) or state.shape != (2, card.state_size) or not np.isfinite(score).all():
            raise ModelError(
                f"{path} answers wrongly", got=f"score {list(score.shape)}", expected="[2, 2]", hint="Export it again"
            )

    @classmethod
    def load(cls, path: str | Path) -> Heads:
        """Load a head file and try it on two hops.

        Raises:
            ModelError: it is missing, damaged, no head file of ours, or newer than this code.
        """
        path = Path(path)
        session, card = open_model(path, inputs=_INPUTS, outputs=_OUTPUTS)
        return cls(session.run, card, path)

    def run(self, features: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Judge whole hops of ``b`` streams at once.

        Args:
            features: float32 ``[b, k*r, f]``, ``k >= 1``.
            state: float32 ``[b, s]``, `zero_state` or what the last call returned.

        Returns:
            Scores float32 ``[b, k]`` and the next state ``[b, s]``.

        Raises:
            ConfigError: a shape or a type is wrong.
        """
        rows, width = self.feature_shape
        if (
            features.dtype != np.float32
            or features.ndim != 3
            or features.shape[2] != width
            or features.shape[1] % rows
            or not features.size
        ):
            raise ConfigError(
                "features for a model",
                got=f"{features.dtype} {list(features.shape)}",
                expected=f"float32 [b, {rows}*k, {width}]",
            )
        score, next_state = self._run(_ALL, {"features": features, "state": state})
        return score, next_state

    def zero_state(self, streams: int = 1) -> Floats:
        """State of new streams, float32 ``[streams, s]``: what digital silence leaves behind."""
        return np.zeros((streams, self.card.state_size), np.float32)


@dataclass(frozen=True, slots=True)
class SharedHeads:
    """A model that needs only its heads, because another computes its front ends.

    Attributes:
        card: the detector's card, not that of the head file.
        heads: its heads.
        source: the graph whose features they take.
    """

    card: ModelCard
    heads: Heads
    source: Graph

    def run(self, features: Floats, state: Floats) -> tuple[Floats, Floats]:
        """As `Heads.run`."""
        return self.heads.run(features, state)

    def zero_state(self) -> Floats:
        """State of a new stream."""
        return self.heads.zero_state()


def load_sharing(paths: Sequence[str | Path]) -> list[Graph | SharedHeads]:
    """Load models so that front ends that several have run once.

    A model shares if one before it in the list has the same front ends, by fingerprint, and its ``NAME_head.onnx``,
    from the same export, lies beside it. Else it is loaded whole, which costs more and gives the same scores.

    Raises:
        ModelError: a file is missing, damaged, no model of ours, or newer than this code.
    """
    models: list[Graph | SharedHeads] = []
    for path in map(Path, paths):
        shared = _share(path, [model for model in models if isinstance(model, Graph)])
        models.append(shared or Graph.load(path))
    return models


def _share(path: Path, loaded: Sequence[Graph]) -> SharedHeads | None:
    beside = path.with_name(f"{path.stem}_head.onnx")
    if not loaded or not beside.is_file():
        return None
    try:
        card, head_card = read_card(path), read_card(beside)
    except ModelError:
        return None  # loading the whole model says what is wrong with it
    if not card.fingerprints or _weights(card) is None or _weights(card) != _weights(head_card):
        return None  # no head file, or that of an earlier export
    source = next((graph for graph in loaded if graph.card.fingerprints == card.fingerprints), None)
    return None if source is None else SharedHeads(card, Heads.load(beside), source)


def _weights(card: ModelCard) -> str | None:
    """Hash of a model's own weights."""
    architecture = card.content.get("architecture")
    found = architecture.get("fingerprint") if isinstance(architecture, dict) else None
    return found if isinstance(found, str) else None


def _feature_shape(card: ModelCard, path: Path) -> tuple[int, int]:
    shapes = [(row.get("frames_per_hop"), row.get("n_features")) for row in card.content.get("frontends", [])]
    if not shapes or not all(isinstance(size, int) and size > 0 for shape in shapes for size in shape):
        raise ModelError(
            f"the model card in {path} does not tell the shape of its features",
            expected="frontends with frames_per_hop and n_features",
            hint="Export the model again",
        )
    return shapes[0] if len(shapes) == 1 else (1, sum(rows * width for rows, width in shapes))
