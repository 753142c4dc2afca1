"""The models of a server: whole ones that take audio, heads that take features, or both of one name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.graph import Graph
from nanowakeword.heads import Heads
from nanowakeword.onnx_card import read_card
from nanowakeword.operating_point import resolve_threshold
from nanowakeword.remote_encoder import front_ends
from nanowakeword.stream import ScoreJudge
from nanowakeword.timing import HOP_SAMPLES
from serving.capacity import measure_cost_s
from serving.errors import ProtocolError

__all__ = ["HEAD", "Selection", "ServedModel", "load_model"]

HEAD: Final = "_head"
# Streams in a batch when the cost of a model is measured; larger batches cost hardly less per stream.
_BATCH: Final = 16


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A model that a stream asks for, and where it is to fire.

    Attributes:
        name: of the model; empty for the default one.
        threshold: score at or above which it fires; None: by budget, or else the model's default.
        budget_fa_per_hour: false accepts per hour to stay within; None: not asked for.
    """

    name: str = ""
    threshold: float | None = None
    budget_fa_per_hour: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedModel:
    """A model that streams can ask for; a newer file gives another one.

    Attributes:
        card: its card.
        threshold: score at or above which it fires unless a stream says otherwise.
        graph: what takes audio; None: this server takes none for it.
        heads: what takes features; None: this server takes none for it.
        graph_cost_s: processor time that a hop takes in a batch, seconds.
        heads_cost_s: the same of the heads.
    """

    card: ModelCard
    threshold: float
    graph: Graph | None
    heads: Heads | None
    graph_cost_s: float
    heads_cost_s: float

    @property
    def name(self) -> str:
        """Name to ask for."""
        return self.card.name

    @property
    def path(self) -> Path | None:
        """The file it came from."""
        part = self.graph or self.heads
        return None if part is None else part.path

    @property
    def front_ends(self) -> list[str]:
        """What makes its features, as the protocol writes it."""
        return front_ends(self.card)

    def for_audio(self) -> Graph:
        """What judges streams of audio.

        Raises:
            ProtocolError: this server takes no audio for it.
        """
        if self.graph is None:
            raise ProtocolError(
                f"this server runs only the heads of model {self.name!r}",
                got="PIPELINE_FULL",
                expected="PIPELINE_VERIFIER_ONLY",
            )
        return self.graph

    def for_features(self, *, made_by: Sequence[str] = ()) -> Heads:
        """What judges streams of features.

        Args:
            made_by: front ends that make the features, as the protocol writes them; empty: not known.

        Raises:
            ProtocolError: this server takes no features for it, or others.
        """
        if self.heads is None:
            raise ProtocolError(
                f"this server takes no features for model {self.name!r}",
                got="PIPELINE_VERIFIER_ONLY",
                expected="PIPELINE_FULL",
            )
        if made_by and list(made_by) != self.front_ends:
            raise ProtocolError(
                f"model {self.name!r} takes the features of other front ends",
                got=_shown(made_by),
                expected=_shown(self.front_ends),
            )
        return self.heads

    def judge(self, selection: Selection) -> ScoreJudge:
        """What turns the scores of a new stream into detections.

        Raises:
            ConfigError: the threshold is out of range, or the card knows no threshold for the budget.
        """
        return ScoreJudge(self.card, threshold=self._threshold(selection))

    def _threshold(self, selection: Selection) -> float:
        if selection.threshold is None and selection.budget_fa_per_hour is None:
            return self.threshold
        return resolve_threshold(self.card, threshold=selection.threshold, budget=selection.budget_fa_per_hour)


def load_model(path: Path, *, threshold: float | None, pipeline: str | None) -> ServedModel:
    """Load a model file, and the head file ``NAME_head.onnx`` beside it if there is one.

    Args:
        path: a whole model, or a head file alone, which is served under its detector's name.
        threshold: score at or above which it fires by default; None: its own.
        pipeline: ``full`` to serve audio only, ``verifier_only`` to serve features only; None: what there is.

    Raises:
        ConfigError: there is nothing for this pipeline.
        ModelError: a file is missing, damaged, not a model, or the two files are not of one export.
    """
    graph: Graph | None
    heads: Heads | None
    beside = path.with_name(f"{path.stem}{HEAD}.onnx")
    if path.is_file() and read_card(path).kind == "heads":
        if pipeline == "full":
            raise ConfigError(f"{path} is only the heads of a detector", expected="a whole model for --pipeline full")
        graph, heads = None, Heads.load(path)
        card = replace(heads.card, name=heads.card.name.removesuffix(HEAD))
    elif pipeline == "verifier_only" and path.is_file():
        if not beside.is_file():
            raise ConfigError(
                f"no head file for {path}", expected=str(beside), hint="Copy it there, or serve --pipeline full"
            )
        graph, heads = None, Heads.load(beside)
        card = read_card(path)
    else:
        graph = Graph.load(path)
        heads = Heads.load(beside) if pipeline != "full" and beside.is_file() else None
        card = graph.card
    if heads is not None:
        _check_pair(card, heads)
    limit = card.threshold if threshold is None else threshold
    return ServedModel(
        card=card,
        threshold=limit,
        graph=graph,
        heads=heads,
        graph_cost_s=0.0 if graph is None else _graph_cost_s(graph),
        heads_cost_s=0.0 if heads is None else _heads_cost_s(heads),
    )


def _graph_cost_s(graph: Graph) -> float:
    audio, state = np.zeros((_BATCH, HOP_SAMPLES), np.int16), graph.zero_state(_BATCH)
    return measure_cost_s(lambda: graph.run(audio, state), hops=_BATCH)


def _heads_cost_s(heads: Heads) -> float:
    features, state = np.zeros((_BATCH, *heads.feature_shape), np.float32), heads.zero_state(_BATCH)
    return measure_cost_s(lambda: heads.run(features, state), hops=_BATCH)


def _check_pair(card: ModelCard, heads: Heads) -> None:
    """Refuse heads of an earlier export, whose scores would be those of another model."""
    for key in ("phrase", "frontends", "architecture", "seed"):
        if card.content.get(key) != heads.card.content.get(key):
            raise ModelError(
                f"{heads.path} does not belong to model {card.name!r}: its card says another {key}",
                hint="Copy both files of one export, or serve --pipeline full",
            )


def _shown(names: Sequence[str]) -> str:
    """What a stranger sent, short enough for a message."""
    text = " + ".join(names) or "front ends without a name"
    return text if len(text) <= 200 else text[:197] + "..."
