"""The recurrent layers of ``models/`` as the single operators that ONNX has for them.

Torch exports its own as loops of small operators, which cost several times as much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from onnxscript import opset18 as op

import models.gru
import models.lstm
import models.rnn  # noqa: F401  # these three define the operators that are translated below

__all__ = ["RECURRENT_OPERATORS"]


def _gru(x: Any, hidden: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> tuple[Any, Any]:
    """`models.gru.gru_stream`; ONNX has its gates in the order update, reset, new."""

    def reorder(gates: Any) -> Any:
        reset, update, new = _cut(gates, 3, weight_hh.shape[1])
        return op.Concat(update, reset, new, axis=0)

    y, last = op.GRU(
        _steps_first(x),
        _one_direction(reorder(weight_ih)),
        _one_direction(reorder(weight_hh)),
        _one_direction(op.Concat(reorder(bias_ih), reorder(bias_hh), axis=0)),
        None,
        _one_direction(hidden),
        hidden_size=weight_hh.shape[1],
        linear_before_reset=1,
    )
    return _batch_first(y), _squeeze(last, 0)


def _lstm(
    x: Any, hidden: Any, cell: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any
) -> tuple[Any, Any, Any]:
    """`models.lstm.lstm_stream`; ONNX has its gates in the order input, output, forget, cell."""

    def reorder(gates: Any) -> Any:
        enter, forget, new, leave = _cut(gates, 4, weight_hh.shape[1])
        return op.Concat(enter, leave, forget, new, axis=0)

    y, last, last_cell = op.LSTM(
        _steps_first(x),
        _one_direction(reorder(weight_ih)),
        _one_direction(reorder(weight_hh)),
        _one_direction(op.Concat(reorder(bias_ih), reorder(bias_hh), axis=0)),
        None,
        _one_direction(hidden),
        _one_direction(cell),
        hidden_size=weight_hh.shape[1],
    )
    return _batch_first(y), _squeeze(last, 0), _squeeze(last_cell, 0)


def _rnn(x: Any, hidden: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any) -> tuple[Any, Any]:
    """`models.rnn.rnn_stream`."""
    y, last = op.RNN(
        _steps_first(x),
        _one_direction(weight_ih),
        _one_direction(weight_hh),
        _one_direction(op.Concat(bias_ih, bias_hh, axis=0)),
        None,
        _one_direction(hidden),
        hidden_size=weight_hh.shape[1],
    )
    return _batch_first(y), _squeeze(last, 0)


RECURRENT_OPERATORS: Final[dict[Callable[..., Any], Callable[..., Any]]] = {
    torch.ops.nanowakeword.gru_stream.default: _gru,
    torch.ops.nanowakeword.lstm_stream.default: _lstm,
    torch.ops.nanowakeword.rnn_stream.default: _rnn,
}


def _cut(gates: Any, count: int, size: int) -> list[Any]:
    """Weights ``[count * size, ...]`` of each gate. Not by one Split, which the exporter does not fold into them."""
    ends: list[Any] = [op.Constant(value_ints=[size * number]) for number in range(count + 1)]
    axis: Any = op.Constant(value_ints=[0])
    return [op.Slice(gates, ends[number], ends[number + 1], axis) for number in range(count)]


def _one_direction(x: Any) -> Any:
    first: Any = op.Constant(value_ints=[0])
    return op.Unsqueeze(x, first)


def _squeeze(x: Any, axis: int) -> Any:
    where: Any = op.Constant(value_ints=[axis])
    return op.Squeeze(x, where)


def _steps_first(x: Any) -> Any:
    return op.Transpose(x, perm=[1, 0, 2])  # [t, b, f]


def _batch_first(y: Any) -> Any:
    """``[t, 1, b, h]`` -> ``[b, t, h]``."""
    return op.Transpose(_squeeze(y, 1), perm=[1, 0, 2])
