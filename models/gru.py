"""Gated recurrent unit: Cho et al. 2014, https://arxiv.org/abs/1406.1078.

Unidirectional and stateful: in a stream the hidden state lives on from hop to hop. The logit comes from averages and
maxima of the hidden state over the window, so the word need not end where the window does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.pooling import pool_stream, pool_window, pooled_state_size
from models.streaming import split_state

__all__ = ["Gru"]


@torch.library.custom_op("nanowakeword::gru_stream", mutates_args=())
def gru_stream(
    x: Tensor, hidden: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, Tensor]:
    """One layer over some steps, as an operator of its own.

    Torch exports its GRU as a loop of small operators; this one becomes the single GRU operator of ONNX
    (``steps/onnx_files.py``).

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


class Gru(nn.Module):
    """An ensemble of equal, independent recurrent networks.

    Args:
        n_features: ``f`` of the front end.
        frames_per_hop: ``r`` of the front end.
        context_frames: most frames of features that the window may span.
        layer_size: hidden units of each member.
        members: networks whose logits are averaged.
        dropout_prob: before the last layer.
        stride: frames that a step takes together; divides ``r``.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        n_features: int,
        frames_per_hop: int,
        context_frames: int,
        layer_size: int,
        members: int,
        dropout_prob: float,
        stride: int,
    ) -> None:
        super().__init__()
        self._per_hop = frames_per_hop // stride
        self._window_hops = context_frames // frames_per_hop
        self.window_frames = self._window_hops * frames_per_hop
        self._stride, self._layer_size = stride, layer_size
        per_member: list[tuple[int, ...]] = [(layer_size,), (2 * layer_size, self._window_hops - 1)]
        self._shapes = per_member * members
        self.state_size = members * (layer_size + pooled_state_size(layer_size, self._window_hops))

        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))
        self.cells = nn.ModuleList(nn.GRU(n_features * stride, layer_size, batch_first=True) for _ in range(members))
        self.last = nn.Dropout(dropout_prob)
        self.outs = nn.ModuleList(nn.Linear(2 * layer_size, 1) for _ in range(members))

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[b, k*r, f]``, state ``[b, s]`` -> logits ``[b, k]``, next state."""
        parts = split_state(state, self._shapes)
        x = self._stack(features)
        logits, nexts = [], []
        for cell, out, hidden, pooled in zip(self.cells, self.outs, parts[::2], parts[1::2], strict=True):
            y, last = gru_stream(x, hidden, cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
            windows, line = pool_stream(y.transpose(1, 2), pooled, frames_per_hop=self._per_hop)
            logits.append(out(windows.transpose(1, 2)).squeeze(2))  # [b, k]
            nexts += [last, line.flatten(1)]
        return torch.stack(logits).mean(dim=0), torch.cat(nexts, dim=1)

    def score_window(self, features: Tensor) -> Tensor:
        """Features ``[b, window_frames, f]`` -> logits of each member ``[b, members]``."""
        x = self._stack(features)
        logits = [
            out(self.last(pool_window(cell(x)[0].transpose(1, 2))))
            for cell, out in zip(self.cells, self.outs, strict=True)
        ]
        return torch.cat(logits, dim=1)

    def _stack(self, features: Tensor) -> Tensor:
        """Standardised features ``[b, t / stride, stride * f]``."""
        x = (features - self.mean) / self.deviation
        return x.reshape(x.shape[0], -1, self._stride * x.shape[2]) if self._stride > 1 else x
