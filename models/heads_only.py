"""A detector without its front ends, for a server that gets features from the edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.detector import Detector, fuse_logits, group_frames, run_heads

__all__ = ["HeadsOnly"]


class HeadsOnly(nn.Module):
    """The heads and the calibration of a detector.

    Args:
        detector: with its silence state settled.
    """

    weights: Tensor
    calibration: Tensor
    silence: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.heads, self._config = detector.heads, detector.config
        self._shapes = [(row.frames_per_hop, row.n_features) for row in detector.config.rows]
        self._sizes = detector.head_sizes
        self.state_size = sum(self._sizes)
        self.register_buffer("silence", detector.silence[:, -self.state_size :])
        self.register_buffer("weights", detector.weights)
        self.register_buffer("calibration", detector.calibration)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The detector's ``features`` and a state ``[b, s]`` -> ``score`` ``[b, k]``, ``next_state`` ``[b, s]``."""
        if len(self._shapes) == 1:
            frames = [features]
        else:
            hops = torch.split(features, [r * f for r, f in self._shapes], dim=2)  # [b, k, r*f] each
            frames = [hop.unflatten(2, shape).flatten(1, 2) for hop, shape in zip(hops, self._shapes, strict=True)]
        logits, following = run_heads(self.heads, group_frames(frames, self._config), state + self.silence, self._sizes)
        return fuse_logits(logits, self.weights, self.calibration), following - self.silence
