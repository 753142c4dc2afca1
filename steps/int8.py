"""A model whose weights are stored in 8 bits: a third of the size, as fast, and nearly the same scores.

Only the weights of products and convolutions are rounded, each output with a scale of its own; the graph turns them
back into float32 (Cast, Mul), which ONNX Runtime does once, when it loads the file. The filter banks that make spectra
keep 16 bits: in 8 their rounding is louder than what is quiet.

Rounded activations as well, dynamic or static, changed scores of real recordings by up to 1 and made little faster;
MatMulNBits leaves convolutions as they are. `benchmarks/int8.py` compares the forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from nanowakeword.errors import ModelError
from nanowakeword.evaluation import Recording, clip_peaks, score_negatives, score_positives
from nanowakeword.graph import Graph

__all__ = ["check_int8", "quantise_weights"]

# Of an operator's second and third input, the axis along which its outputs lie; each gets a scale.
_OUTPUTS: Final[Mapping[str, int]] = {"Conv": 0, "Gemm": 0, "GRU": 1, "LSTM": 1, "MatMul": -1, "RNN": 1}
_LEAST: Final = 256  # smaller ones are not worth two operators
_FILTER_BANKS: Final = ".mel."


def quantise_weights(source: Path, target: Path) -> None:
    """Write a model with rounded weights; its card and its ports stay the same.

    Args:
        source: an ONNX file in float32.
        target: where to.
    """
    model = onnx.load(source)
    graph = model.graph
    users: dict[str, set[str]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            users.setdefault(name, set()).add(node.op_type if place in (1, 2) else "")
    restoring = []
    for tensor in list(graph.initializer):
        kinds = users.get(tensor.name, set())
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < _LEAST or len(kinds) != 1:
            continue
        axis = _OUTPUTS.get(next(iter(kinds)))
        if axis is None:
            continue
        rounded, scale = _round(values, axis=axis, bits=16 if _FILTER_BANKS in tensor.name else 8)
        graph.initializer.remove(tensor)
        stored, wide, factor = (f"{tensor.name}.{part}" for part in ("stored", "wide", "scale"))
        graph.initializer.extend([numpy_helper.from_array(rounded, stored), numpy_helper.from_array(scale, factor)])
        restoring.append(helper.make_node("Cast", [stored], [wide], to=TensorProto.FLOAT))
        restoring.append(helper.make_node("Mul", [wide, factor], [tensor.name]))
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*restoring, *others])
    onnx.checker.check_model(model, full_check=True)
    beside = target.with_suffix(".writing")
    beside.write_bytes(model.SerializeToString(deterministic=True))
    beside.replace(target)


def check_int8(
    path: Path, original: Path, *, positives: Sequence[Recording], negatives: Sequence[Recording], tolerance: float
) -> float:
    """Stream recordings through both models and compare the highest score of each recording.

    Args:
        path: with rounded weights.
        original: in float32.
        positives: recordings of the phrase.
        negatives: recordings without it.
        tolerance: largest difference that is allowed.

    Returns:
        The largest difference.

    Raises:
        ModelError: it is larger than the tolerance.
    """
    peaks = [_peaks(Graph.load(file), positives, negatives) for file in (original, path)]
    difference = float(np.abs(peaks[0] - peaks[1]).max())
    if not difference <= tolerance:
        raise ModelError(
            f"{path.name} scores otherwise than {original.name}",
            got=f"a difference of {difference:.2g} in the highest score of a recording",
            expected=f"at most {tolerance:g}",
            hint="Set export.int8 to false, or raise export.int8_tolerance and see in the report what it misses",
        )
    return difference


def _round(values: npt.NDArray[Any], *, axis: int, bits: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Whole numbers, and what to multiply them with: a factor for each place along an axis."""
    largest = np.abs(values).max(axis=tuple(set(range(values.ndim)) - {axis % values.ndim}), keepdims=True)
    scale = np.where(largest > 0.0, largest / (2 ** (bits - 1) - 1), 1.0).astype(np.float32)
    return np.rint(values / scale).astype(np.int8 if bits == 8 else np.int16), scale


def _peaks(graph: Graph, positives: Sequence[Recording], negatives: Sequence[Recording]) -> npt.NDArray[np.floating]:
    scores = score_positives(graph, positives, tail_s=0.0, seed=0), score_negatives(graph, negatives, seed=0)
    return np.concatenate([clip_peaks(one, tail_s=0.0) for one in scores])
