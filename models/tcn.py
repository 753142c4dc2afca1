"""Temporal convolution network: Bai, Kolter, Koltun 2018, https://arxiv.org/abs/1803.01271.

A point-wise layer and a few short causal convolutions, then average and maximum over the window. Without the paper's
residual blocks: front ends that are themselves deep leave a head of 30 k parameters little to add. Without padding: a
frame of output exists only where all its inputs do, so the window of training and the stream of serving see the same.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from models.pooling import pool_stream, pool_window, pooled_state_size
from models.streaming import split_state

__all__ = ["Tcn"]

KERNEL: Final = 3


class Tcn(nn.Module):
    """An ensemble of equal, independent convolution networks, computed as one grouped network.

    Args:
        n_features: ``f`` of the front end.
        frames_per_hop: ``r`` of the front end.
        context_frames: most frames of features that the window may span.
        layer_size: channels of each member.
        members: networks whose logits are averaged.
        dropout_prob: before the last layer, and half of it between the convolutions.
        stride: frames that the point-wise layer takes together; divides ``r``.
        dilations: of the convolutions that follow it, in strides.
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
        dilations: tuple[int, ...],
    ) -> None:
        super().__init__()
        channels = layer_size * members
        reach = sum(dilations) * (KERNEL - 1)  # strides of the past that a convolved frame needs
        self._per_hop = frames_per_hop // stride
        self._window_hops = (context_frames // stride - reach) // self._per_hop
        self.window_frames = (self._window_hops * self._per_hop + reach) * stride
        self._members, self._stride, self._n_features = members, stride, n_features
        self._pasts = [(channels, (KERNEL - 1) * dilation) for dilation in dilations]
        self._shapes: list[tuple[int, ...]] = [*self._pasts, (2 * channels, self._window_hops - 1)]
        self.state_size = sum(c * t for c, t in self._pasts) + pooled_state_size(channels, self._window_hops)

        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))
        self.stem = nn.Conv1d(n_features * stride, channels, 1, bias=False)
        self.stem_norm = nn.BatchNorm1d(channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, KERNEL, dilation=dilation, groups=members, bias=False)
            for dilation in dilations
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in dilations)
        self.between = nn.Dropout1d(dropout_prob / 2)
        self.last = nn.Dropout(dropout_prob)
        self.out = nn.Conv1d(2 * channels, members, 1, groups=members)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[b, k*r, f]``, state ``[b, s]`` -> logits ``[b, k]``, next state."""
        *pasts, pooled = split_state(state, self._shapes)
        x = self._stem(features)
        nexts = []
        for past, convolution, norm in zip(pasts, self.convolutions, self.norms, strict=True):
            line = torch.cat([past, x], dim=2)  # [b, c, past + t]
            nexts.append(line[:, :, -past.shape[2] :])
            x = norm(convolution(line)).relu()
        x, pooled = pool_stream(x, pooled, frames_per_hop=self._per_hop)  # [b, 2c, k]
        logits = self._logits(x).mean(dim=1)
        return logits, torch.cat([part.flatten(1) for part in (*nexts, pooled)], dim=1)

    def score_window(self, features: Tensor) -> Tensor:
        """Features ``[b, window_frames, f]`` -> logits of each member ``[b, members]``."""
        x = self._stem(features)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(self.between(x))).relu()
        pooled = self.last(pool_window(x)).unsqueeze(2)
        return self._logits(pooled).squeeze(2)

    def _stem(self, features: Tensor) -> Tensor:
        """``[b, t, f] -> [b, c, t / stride]``."""
        x = (features - self.mean) / self.deviation
        if self._stride > 1:
            x = x.reshape(x.shape[0], -1, self._stride * self._n_features)
        stem: Tensor = self.stem_norm(self.stem(x.transpose(1, 2)))
        return stem.relu()

    def _logits(self, pooled: Tensor) -> Tensor:
        """Averages and maxima ``[b, 2c, k]`` -> ``[b, members, k]``; each member gets its own channels."""
        b, k = pooled.shape[0], pooled.shape[2]
        by_member = pooled.reshape(b, 2, self._members, -1, k).transpose(1, 2)  # [b, members, 2, c / members, k]
        logits: Tensor = self.out(by_member.reshape(b, -1, k))
        return logits
