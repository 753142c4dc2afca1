"""Long short-term memory: Hochreiter, Schmidhuber 1997, https://www.bioinf.jku.at/publications/older/2604.pdf.

With the forget gates of Gers et al. 2000, https://doi.org/10.1162/089976600300015015, as everyone has them.
Unidirectional and stateful: in a stream the hidden state and the cell live on from hop to hop.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.body import Frames, Memory
from models.recurrent import Recurrent

__all__ = ["Lstm"]


@torch.library.custom_op("nanowakeword::lstm_stream", mutates_args=())
def lstm_stream(
    x: Tensor, hidden: Tensor, cell: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One layer over some steps, as an operator of its own; ``models/gru.py`` says why.

    Args:
        x: ``[b, t, f]``.
        hidden: ``[b, h]``, before the first step.
        cell: ``[b, h]``.
        weight_ih: ``[4*h, f]``, gates in torch's order: input, forget, cell, output.
        weight_hh: ``[4*h, h]``.
        bias_ih: ``[4*h]``.
        bias_hh: ``[4*h]``.

    Returns:
        Outputs ``[b, t, h]``, hidden state and cell after the last step, ``[b, h]`` each.
    """
    start = [hidden.unsqueeze(0).contiguous(), cell.unsqueeze(0).contiguous()]
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    y, last, last_cell = torch.lstm(x, start, weights, True, 1, 0.0, False, False, True)
    return y, last.squeeze(0), last_cell.squeeze(0)


@lstm_stream.register_fake
def _(x: Tensor, hidden: Tensor, cell: Tensor, *_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape[0], x.shape[1], hidden.shape[1]), torch.empty_like(hidden), torch.empty_like(cell)


class Lstm(Recurrent):
    """One member; arguments as `Recurrent`."""

    def __init__(self, frames: Frames, *, layer_size: int, n_blocks: int, dropout_prob: float) -> None:
        super().__init__(
            frames, layer_size=layer_size, n_blocks=n_blocks, dropout_prob=dropout_prob, kind=nn.LSTM, run=_run
        )


def _run(layer: nn.LSTM, x: Tensor, memory: Memory) -> Tensor:
    """A layer over steps ``[b, t, f]`` -> ``[b, t, h]``; its state goes through the memory."""
    hidden, cell = memory.hidden(x, layer.hidden_size), memory.hidden(x, layer.hidden_size)
    y: Tensor
    if memory.is_window:  # torch's own has a gradient
        y, (last, last_cell) = layer(x, (hidden.unsqueeze(0), cell.unsqueeze(0)))
        last, last_cell = last.squeeze(0), last_cell.squeeze(0)
    else:
        weights = layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0
        y, last, last_cell = lstm_stream(x, hidden, cell, *weights)
    memory.keep(last)
    memory.keep(last_cell)
    return y
