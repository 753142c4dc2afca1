"""A tiny, real model that keeps the graph contract and whose scores can be told by hand.

It hears a tone of 1 kHz. For each hop it takes the tone's amplitude; the score is the mean over the last four hops,
three of them from the state, divided by `FULL_SCORE_AMPLITUDE` and clipped to 0 to 1. So after four hops (320 ms) of a
tone of amplitude A the score is A / 8192, whatever was before; after silence the state is all zeros.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from nanowakeword.card import CARD_KEY
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = [
    "FULL_SCORE_AMPLITUDE",
    "SETTLING_HOPS",
    "silence",
    "tiny_card",
    "tiny_head_proto",
    "tiny_proto",
    "tone",
    "write_tiny_head",
    "write_tiny_model",
]

FULL_SCORE_AMPLITUDE: Final = 8_192
SETTLING_HOPS: Final = 4
TONE_HZ: Final = 1_000
_STATE_SIZE: Final = SETTLING_HOPS - 1


def tone(seconds: float, *, amplitude: int = FULL_SCORE_AMPLITUDE, start_s: float = 0.0) -> npt.NDArray[np.int16]:
    """What the model hears, int16 ``[n]``; the phase is that of a tone that began at sample 0 of the stream."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ + start_s
    samples: npt.NDArray[np.int16] = np.rint(amplitude * np.sin(2 * np.pi * TONE_HZ * t)).astype(np.int16)
    return samples


def silence(seconds: float) -> npt.NDArray[np.int16]:
    """Digital silence, int16 ``[n]``."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def tiny_card(**changes: Any) -> dict[str, Any]:
    """The model's card; ``key=None`` leaves a key out."""
    card = {
        "schema_version": 1,
        "phrase": "beep",
        "name": "beep",
        "language": "en-us",
        "phonemes": "bip",
        "kind": "detector",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "hop_samples": HOP_SAMPLES,
        "receptive_field_samples": SETTLING_HOPS * HOP_SAMPLES,
        "state_size": _STATE_SIZE,
        "frontends": [{"name": "tone", "frames_per_hop": 1, "n_features": 2, "fingerprint": "f00d"}],
        "threshold": 0.75,
        "thresholds": [
            {"fa_per_hour": 2.0, "threshold": 0.5, "hours": 3.0, "basis": "real speech"},
            {"fa_per_hour": 0.5, "threshold": 0.75, "hours": 3.0, "basis": "real speech"},
        ],
        **changes,
    }
    return {key: value for key, value in card.items() if value is not None}


def tiny_proto(card: dict[str, Any] | None = None) -> ModelProto:
    """The model as a protobuf message, for tests that break it."""
    t = np.arange(HOP_SAMPLES) / SAMPLE_RATE_HZ
    angle = 2 * np.pi * TONE_HZ * t
    # Amplitude of the tone in one hop: a hop holds 80 whole periods, so sine and cosine are orthogonal over it.
    basis = np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32) * np.float32(2 / HOP_SAMPLES)
    constants = {
        "hops_shape": np.array([0, -1, 1, HOP_SAMPLES], np.int64),
        "basis": basis[None, None],
        "last_axis": np.array([-1], np.int64),
        "window": np.full((1, 1, SETTLING_HOPS), 1 / SETTLING_HOPS, np.float32),
        "channel": np.array([1], np.int64),
        "full": np.array(FULL_SCORE_AMPLITUDE, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "tail_start": np.array([-_STATE_SIZE], np.int64),
        "tail_end": np.array([np.iinfo(np.int64).max], np.int64),
        "time": np.array([1], np.int64),
        "energy_shape": np.array([0, -1, HOP_SAMPLES], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["audio"], ["samples"], to=TensorProto.FLOAT),
        node("Reshape", ["samples", "hops_shape"], ["hops"]),  # [b, k, 1, 1280]
        node("Mul", ["hops", "basis"], ["products"]),  # [b, k, 2, 1280]
        node("ReduceSum", ["products", "last_axis"], ["parts"], keepdims=0),  # [b, k, 2]
        node("ReduceL2", ["parts", "last_axis"], ["amplitude"], keepdims=0),  # [b, k]
        node("Concat", ["state", "amplitude"], ["history"], axis=1),  # [b, 3 + k]
        node("Unsqueeze", ["history", "channel"], ["history_1"]),  # [b, 1, 3 + k]
        node("Conv", ["history_1", "window"], ["mean_1"]),  # [b, 1, k]
        node("Squeeze", ["mean_1", "channel"], ["mean"]),  # [b, k]
        node("Div", ["mean", "full"], ["ratio"]),
        node("Clip", ["ratio", "zero", "one"], ["score"]),
        node("Slice", ["history", "tail_start", "tail_end", "time"], ["next_state"]),
        node("Reshape", ["samples", "energy_shape"], ["rows"]),  # [b, k, 1280]
        node("ReduceL2", ["rows", "last_axis"], ["energy"], keepdims=1),  # [b, k, 1]
        node("Unsqueeze", ["amplitude", "last_axis"], ["amplitude_1"]),  # [b, k, 1]
        node("Concat", ["amplitude_1", "energy"], ["features"], axis=2),  # [b, k, 2]
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            value("audio", TensorProto.INT16, ["streams", "samples"]),
            value("state", TensorProto.FLOAT, ["streams", _STATE_SIZE]),
        ],
        [
            value("score", TensorProto.FLOAT, ["streams", "hops"]),
            value("next_state", TensorProto.FLOAT, ["streams", _STATE_SIZE]),
            value("features", TensorProto.FLOAT, ["streams", "hops", 2]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model, full_check=True)
    model.metadata_props.add(key=CARD_KEY, value=json.dumps(card if card is not None else tiny_card()))
    return model


def tiny_head_proto(card: dict[str, Any] | None = None) -> ModelProto:
    """The model's heads alone: the amplitude, first column of its features, averaged as the model does."""
    constants: dict[str, npt.NDArray[Any]] = {
        "first": np.array(0, np.int64),
        "window": np.full((1, 1, SETTLING_HOPS), 1 / SETTLING_HOPS, np.float32),
        "channel": np.array([1], np.int64),
        "full": np.array(FULL_SCORE_AMPLITUDE, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "tail_start": np.array([-_STATE_SIZE], np.int64),
        "tail_end": np.array([np.iinfo(np.int64).max], np.int64),
        "time": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["features", "first"], ["amplitude"], axis=2),  # [b, k]
        node("Concat", ["state", "amplitude"], ["history"], axis=1),  # [b, 3 + k]
        node("Unsqueeze", ["history", "channel"], ["history_1"]),  # [b, 1, 3 + k]
        node("Conv", ["history_1", "window"], ["mean_1"]),  # [b, 1, k]
        node("Squeeze", ["mean_1", "channel"], ["mean"]),  # [b, k]
        node("Div", ["mean", "full"], ["ratio"]),
        node("Clip", ["ratio", "zero", "one"], ["score"]),
        node("Slice", ["history", "tail_start", "tail_end", "time"], ["next_state"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny_head",
        [
            value("features", TensorProto.FLOAT, ["streams", "hops", 2]),
            value("state", TensorProto.FLOAT, ["streams", _STATE_SIZE]),
        ],
        [
            value("score", TensorProto.FLOAT, ["streams", "hops"]),
            value("next_state", TensorProto.FLOAT, ["streams", _STATE_SIZE]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model, full_check=True)
    model.metadata_props.add(key=CARD_KEY, value=json.dumps(card if card is not None else tiny_card(kind="heads")))
    return model


def write_tiny_head(model: Path, card: dict[str, Any] | None = None) -> Path:
    """Write the heads beside a model file and return their path; ``card`` is the model's."""
    path = model.with_name(f"{model.stem}_head.onnx")
    head_card = {**(card if card is not None else tiny_card()), "kind": "heads", "name": path.stem}
    path.write_bytes(tiny_head_proto(head_card).SerializeToString(deterministic=True))
    return path


def write_tiny_model(path: Path, card: dict[str, Any] | None = None) -> Path:
    """Write the model to a file and return its path."""
    path.write_bytes(tiny_proto(card).SerializeToString(deterministic=True))
    return path
