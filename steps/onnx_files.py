"""Torch modules to ONNX files: one file each, checked, with the model card inside."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from models.frontends.base import FrontEndModule
from nanowakeword.card import CARD_KEY
from nanowakeword.errors import ModelError
from nanowakeword.timing import HOP_SAMPLES
from steps.onnx_recurrence import RECURRENT_OPERATORS

__all__ = ["export_detector", "export_front_end", "export_heads", "read_card", "write_card"]

_EXAMPLE_STREAMS: Final = 2
_EXAMPLE_HOPS: Final = 3


def export_detector(detector: nn.Module, path: Path, *, state_size: int, opset: int) -> None:
    """Write the one-graph file: ``audio``, ``state`` -> ``score``, ``next_state``, ``features``."""
    audio = torch.zeros(_EXAMPLE_STREAMS, HOP_SAMPLES * _EXAMPLE_HOPS, dtype=torch.int16)
    hops = Dim("hops", min=1, max=1 << 20)
    _export(
        detector,
        {"audio": audio, "state": torch.zeros(_EXAMPLE_STREAMS, state_size)},
        {"audio": {1: HOP_SAMPLES * hops}},
        path,
        outputs=["score", "next_state", "features"],
        opset=opset,
    )


def export_front_end(front: FrontEndModule, path: Path, *, opset: int) -> None:
    """Write a front end alone, with a detector's ports; its first feature takes the place of the score."""
    export_detector(_AsDetector(front), path, state_size=front.state_size, opset=opset)


def export_heads(heads: nn.Module, path: Path, *, feature_shape: tuple[int, int], state_size: int, opset: int) -> None:
    """Write the file for servers that get features: ``features``, ``state`` -> ``score``, ``next_state``.

    Args:
        heads: a `models.heads_only.HeadsOnly`.
        path: where to.
        feature_shape: rows that a hop has in the detector's ``features``, and their width.
        state_size: ``s``.
        opset: of the file.
    """
    rows, width = feature_shape
    hops = Dim("hops", min=1, max=1 << 20)
    _export(
        heads,
        {
            "features": torch.zeros(_EXAMPLE_STREAMS, rows * _EXAMPLE_HOPS, width),
            "state": torch.zeros(_EXAMPLE_STREAMS, state_size),
        },
        {"features": {1: rows * hops if rows > 1 else hops}},
        path,
        outputs=["score", "next_state"],
        opset=opset,
    )


class _AsDetector(nn.Module):
    def __init__(self, front: FrontEndModule) -> None:
        super().__init__()
        self.front = front

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Int16 audio and state -> one value a hop, next state, features."""
        features, state = self.front(audio.to(torch.float32), state)
        return features[:, :: self.front.frames_per_hop, 0], state, features


def read_card(path: Path) -> dict[str, Any]:
    """The model card in an ONNX file that `write_card` wrote."""
    properties = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
    card: dict[str, Any] = json.loads(properties[CARD_KEY])
    return card


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Put a model card into an ONNX file, in place of the one it has; the file is never half written."""
    model = onnx.load(path)
    kept = [prop for prop in model.metadata_props if prop.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=CARD_KEY, value=json.dumps(card, ensure_ascii=False, sort_keys=True))
    beside = path.with_suffix(".writing")
    beside.write_bytes(model.SerializeToString(deterministic=True))
    beside.replace(path)


def _export(
    module: nn.Module,
    inputs: dict[str, Tensor],
    dynamic: dict[str, dict[int, Any]],
    path: Path,
    *,
    outputs: list[str],
    opset: int,
) -> None:
    streams = Dim("streams", min=1, max=1 << 16)
    shapes = {name: {0: streams, **dynamic.get(name, {})} for name in inputs}
    module.eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple(shapes.values()),
            opset_version=opset,
            dynamo=True,
            external_data=False,
            custom_translation_table=RECURRENT_OPERATORS,
            verbose=False,
        )
    assert program is not None  # noqa: S101  # only None with dynamo=False
    model = program.model_proto
    frozen = [port.name for port in (*model.graph.input, *model.graph.output) if _is_frozen(port, shapes)]
    if frozen:
        raise ModelError(f"{path.name}: the exporter froze a dimension of {', '.join(frozen)}", expected="any length")
    _forget_source(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _is_frozen(port: onnx.ValueInfoProto, shapes: dict[str, dict[int, Any]]) -> bool:
    """Whether a dimension that must be free is not: those asked for of an input, the streams of an output."""
    dimensions = port.type.tensor_type.shape.dim
    return any(not dimensions[axis].dim_param for axis in shapes.get(port.name, {0: None}))


def _forget_source(model: onnx.ModelProto) -> None:
    """Drop stack traces and notes of the exporter: they hold paths of the machine and a third of the file."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
