"""Gated recurrent unit: Cho et al. 2014, https://arxiv.org/abs/1406.1078.

Unidirectional and stateful: in a stream the hidden state lives on from hop to hop.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.body import Frames, Memory
from models.recurrent import Recurrent

__all__ = ["Gru", "run_gru"]


@torch.library.custom_op("nanowakeword::gru_stream", mutates_args=())
def gru_stream(
    x: Tensor, hidden: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, Tensor]:
    """One layer over some steps, as an operator of its own.

    Torch exports its GRU as a loop of small operators; this one becomes the single GRU operator of ONNX
    (``steps/onnx_recurrence.py``).

    Args:
        x: ``[b, t, f]``.
        hidden: ``[b, h]``, before the first step.
        weight_ih: ``[3*h, f]``, gates in torch's order: reset, update, new.
        weight_hh: ``[3*h, h]``.
        bias_ih: ``[3*h]``.
        bias_hh: ``[3*h]``.

    Returns:
        Outputs ``[b, t, h]`` and the hidden state after the last step, ``[b, h]``.
    """
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    y, last = torch.gru(x, hidden.unsqueeze(0).contiguous(), weights, True, 1, 0.0, False, False, True)
    return y, last.squeeze(0)


@gru_stream.register_fake
def _(x: Tensor, hidden: Tensor, *_weights: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[0], x.shape[1], hidden.shape[1]), torch.empty_like(hidden)


def run_gru(layer: nn.GRU, x: Tensor, memory: Memory) -> Tensor:
    """A layer over steps ``[b, t, f]`` -> ``[b, t, h]``; its hidden state goes through the memory."""
    hidden = memory.hidden(x, layer.hidden_size)
    y: Tensor
    if memory.is_window:  # torch's own has a gradient
        y, last = layer(x, hidden.unsqueeze(0))
        last = last.squeeze(0)
    else:
        y, last = gru_stream(x, hidden, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    memory.keep(last)
    return y


class Gru(Recurrent):
    """One member; arguments as `Recurrent`."""

    def __init__(self, frames: Frames, *, layer_size: int, n_blocks: int, dropout_prob: float) -> None:
        super().__init__(
            frames, layer_size=layer_size, n_blocks=n_blocks, dropout_prob=dropout_prob, kind=nn.GRU, run=run_gru
        )
