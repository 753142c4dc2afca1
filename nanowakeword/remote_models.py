"""Compares what a server offers with what a client needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nanowakeword.card import ModelCard
from nanowakeword.errors import RemoteError
from nanowakeword.graph import Graph
from nanowakeword.remote_encoder import front_ends
from nanowakeword.remote_server import import_grpc

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["match_models"]


def match_models(
    found: Sequence[pb.ModelInfo], *, wanted: Sequence[str], features: Graph | None, address: str
) -> dict[str, ModelCard]:
    """Cards of the models that are to run, by name, with the names and thresholds that the server gives them.

    Args:
        found: what the server offers.
        wanted: names of the models; empty: the server's default model.
        features: the model whose features are to be sent; None: audio is sent.
        address: of the server, for messages.

    Raises:
        RemoteError: a model is not there, is not served this way, or takes the features of other front ends.
        ModelError: a card is damaged, or newer than this code.
    """
    by_name = {info.name: info for info in found}
    names = tuple(wanted) or tuple(info.name for info in found if info.is_default)
    if not names or any(name not in by_name for name in names):
        raise RemoteError(
            f"the server at {address} lacks a model",
            got=", ".join(by_name) or "none",
            expected=", ".join(names) or "a default model",
            hint="Ask for a model that this server has",
        )
    cards = {}
    for name in names:
        info = by_name[name]
        _check_pipeline(info, features=features, address=address)
        if features is not None:
            _check_features(info, features=features, address=address)
        card = ModelCard.from_json(info.card_json, source=f"model {name!r} of the server at {address}")
        cards[name] = replace(card, name=name, threshold=info.threshold)
    return cards


def _check_pipeline(info: pb.ModelInfo, *, features: Graph | None, address: str) -> None:
    _, pb, _ = import_grpc()
    names = {value: name for name, value in pb.Pipeline.items()}
    needed = pb.PIPELINE_FULL if features is None else pb.PIPELINE_VERIFIER_ONLY
    offered = list(info.pipelines) or [pb.PIPELINE_FULL]  # a server from before there was a choice
    if needed not in offered:
        raise RemoteError(
            f"the server at {address} does not serve model {info.name!r} this way",
            got=", ".join(names.get(value, str(value)) for value in offered),
            expected=names[needed],
            hint=None if features is None else f"Put {info.name}_head.onnx beside its {info.name}.onnx",
        )


def _check_features(info: pb.ModelInfo, *, features: Graph, address: str) -> None:
    here = (front_ends(features.card), features.frames_per_hop, features.n_features)
    there = (list(info.features.front_ends), info.features.rows_per_hop, info.features.width)
    if here != there:
        raise RemoteError(
            f"model {features.card.name!r} makes other features than model {info.name!r} of the server at {address} "
            "takes",
            got=_shown(*here),
            expected=_shown(*there),
            hint="Use a model that was made with the same front ends",
        )


def _shown(names: Sequence[str], rows: int, width: int) -> str:
    return f"{' + '.join(names) or 'front ends without a name'} ({rows} x {width} values per hop)"
