"""A head: an ensemble of one architecture between standardised features and logits.

Every architecture gets the same rest: average and maximum over the window (``models/pooling.py``), an embedding if one
is asked for, and a logit of each member. Or each frame gets its embedding and its logit, and the window has that of its
best frame: any loss of it is then a max-pooling loss (Sun et al. 2016, https://arxiv.org/abs/1705.02411), which takes
the phrase at the frame where it is heard best, and all else at the frame that is most mistaken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models.body import Body, Memory
from models.pooling import max_stream, pool_stream, pool_window
from models.sizes import Pooling
from models.streaming import split_state

__all__ = ["PooledHead"]


class PooledHead(nn.Module):
    """Features to one logit per hop; satisfies `models.streaming.Head`.

    Args:
        bodies: one that computes all members side by side, or one for each.
        members: networks whose logits are averaged.
        n_features: ``f`` of the front end.
        frames_per_hop: ``r`` of the front end.
        context_frames: most frames of features that the window may span.
        embedding_dim: of a layer between pooling and logit, for each member; None for no such layer.
        pooling: what is taken over the window: ``average_max`` of the channels, or ``max`` of the frames' logits.
        activation: of the embedding.
        dropout_prob: of what was pooled, or of each frame.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        bodies: Sequence[nn.Module],
        *,
        members: int,
        n_features: int,
        frames_per_hop: int,
        context_frames: int,
        embedding_dim: int | None,
        pooling: Pooling,
        activation: Callable[[Tensor], Tensor],
        dropout_prob: float,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))
        self.bodies = nn.ModuleList(bodies)
        self._members, self._activation, self._is_by_frame = members, activation, pooling == "max"
        # One look at a whole context says what the bodies remember, and how far back a step of theirs reaches.
        memory = Memory()
        with torch.no_grad():
            self.eval()
            steps = self._steps(torch.zeros(1, context_frames, n_features), memory)
            self.train()
        stride = cast(Body, self.bodies[0]).stride
        channels, self._per_hop = steps.shape[1], frames_per_hop // stride
        self.window_hops = steps.shape[2] // self._per_hop
        self.window_frames = context_frames - steps.shape[2] * stride + self.window_hops * frames_per_hop
        self._shapes: list[tuple[int, ...]] = [tuple(past.shape[1:]) for past in memory.nexts]
        pooled = members if self._is_by_frame else 2 * channels
        self._shapes.append((pooled, self.window_hops - 1))
        self.state_size = sum(past.numel() for past in memory.nexts) + pooled * (self.window_hops - 1)

        entering = channels if self._is_by_frame else 2 * channels
        width = entering if embedding_dim is None else embedding_dim * members
        self.embed = nn.Conv1d(entering, width, 1, groups=members) if embedding_dim is not None else None
        self.dropout = nn.Dropout(dropout_prob)
        self.out = nn.Conv1d(width, members, 1, groups=members)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[b, k*r, f]``, state ``[b, s]`` -> logits ``[b, k]``, next state."""
        *pasts, pooled = split_state(state, self._shapes)
        memory = Memory(pasts)
        steps = self._steps(features, memory)
        if self._is_by_frame:
            logits, pooled = max_stream(self._logits(steps), pooled, frames_per_hop=self._per_hop)
        else:
            windows, pooled = pool_stream(steps, pooled, frames_per_hop=self._per_hop)
            logits = self._logits(windows)
        return logits.mean(dim=1), torch.cat([part.flatten(1) for part in (*memory.nexts, pooled)], dim=1)

    def score_window(self, features: Tensor) -> Tensor:
        """Features ``[b, window_frames, f]`` -> logits of each member ``[b, members]``."""
        steps = self._steps(features, Memory())
        if self._is_by_frame:
            return self._logits(self.dropout(steps)).amax(dim=2)
        return self._logits(self.dropout(pool_window(steps)).unsqueeze(2)).squeeze(2)

    def _steps(self, features: Tensor, memory: Memory) -> Tensor:
        """``[b, t, f] -> [b, c, steps]``, the members' channels one after the other."""
        x = (features - self.mean) / self.deviation
        steps = [body(x, memory) for body in self.bodies]
        return steps[0] if len(steps) == 1 else torch.cat(steps, dim=1)

    def _logits(self, pooled: Tensor) -> Tensor:
        """Averages and maxima ``[b, 2c, k]``, or frames ``[b, c, k]``, -> ``[b, members, k]``, each of its channels."""
        x = pooled
        if not self._is_by_frame:
            b, k = pooled.shape[0], pooled.shape[2]
            by_member = pooled.reshape(b, 2, self._members, -1, k).transpose(1, 2)  # [b, members, 2, c / members, k]
            x = by_member.reshape(b, -1, k)
        if self.embed is not None:
            x = self._activation(self.embed(x))
        logits: Tensor = self.out(x)
        return logits
