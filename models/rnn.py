"""Simple recurrent network: Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.

The hidden units of a step see the input and the hidden units of the step before, through a hyperbolic tangent.
Unidirectional and stateful: in a stream the hidden state lives on from hop to hop.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.body import Frames, Memory
from models.recurrent import Recurrent

__all__ = ["Rnn"]


@torch.library.custom_op("nanowakeword::rnn_stream", mutates_args=())
def rnn_stream(
    x: Tensor, hidden: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, Tensor]:
    """One layer over some steps, as an operator of its own; ``models/gru.py`` says why.

    Args:
        x: ``[b, t, f]``.
        hidden: ``[b, h]``, before the first step.
        weight_ih: ``[h, f]``.
        weight_hh: ``[h, h]``.
        bias_ih: ``[h]``.
        bias_hh: ``[h]``.

    Returns:
        Outputs ``[b, t, h]`` and the hidden state after the last step, ``[b, h]``.
    """
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    y, last = torch.rnn_tanh(x, hidden.unsqueeze(0).contiguous(), weights, True, 1, 0.0, False, False, True)
    return y, last.squeeze(0)


@rnn_stream.register_fake
def _(x: Tensor, hidden: Tensor, *_weights: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[0], x.shape[1], hidden.shape[1]), torch.empty_like(hidden)


class Rnn(Recurrent):
    """One member; arguments as `Recurrent`."""

    def __init__(self, frames: Frames, *, layer_size: int, n_blocks: int, dropout_prob: float) -> None:
        super().__init__(
            frames, layer_size=layer_size, n_blocks=n_blocks, dropout_prob=dropout_prob, kind=nn.RNN, run=_run
        )


def _run(layer: nn.RNN, x: Tensor, memory: Memory) -> Tensor:
    """A layer over steps ``[b, t, f]`` -> ``[b, t, h]``; its hidden state goes through the memory."""
    hidden = memory.hidden(x, layer.hidden_size)
    y: Tensor
    if memory.is_window:  # torch's own has a gradient
        y, last = layer(x, hidden.unsqueeze(0))
        last = last.squeeze(0)
    else:
        y, last = rnn_stream(x, hidden, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)
    memory.keep(last)
    return y
