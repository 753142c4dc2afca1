"""Weights out of an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

__all__ = ["OnnxWeights", "read_onnx"]


@dataclass(frozen=True, kw_only=True)
class OnnxWeights:
    """What a file holds.

    Attributes:
        tensors: by name.
        convolutions: weight and bias of each convolution, in the order of the graph; a bias that is missing is zeros.
    """

    tensors: dict[str, Tensor]
    convolutions: list[tuple[Tensor, Tensor]]


def read_onnx(path: Path) -> OnnxWeights:
    """Read the weights of a file whose hash has been checked."""
    graph = onnx.load(path).graph
    tensors = {item.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(item))) for item in graph.initializer}
    convolutions = []
    for node in graph.node:
        if node.op_type == "Conv":
            weight, *bias = (tensors[name] for name in node.input[1:])
            convolutions.append((weight, bias[0] if bias else torch.zeros(len(weight))))
    return OnnxWeights(tensors=tensors, convolutions=convolutions)
