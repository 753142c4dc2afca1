"""A detector without its front ends, for a server that gets features from the edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.detector import Detector, fuse_logits
from models.frontends.table import FRONT_ENDS

__all__ = ["HeadsOnly"]


class HeadsOnly(nn.Module):
    """The heads and the calibration of a detector.

    Args:
        detector: with its silence state settled.
    """

    calibration: Tensor
    silence: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.heads = detector.heads
        rows = [FRONT_ENDS[name] for name in detector.config.frontends]
        self._shapes = [(row.frames_per_hop, row.n_features) for row in rows]
        self._sizes = [int(head.state_size) for head in detector.heads]  # type: ignore[arg-type]
        self.state_size = sum(self._sizes)
        silence = torch.split(detector.silence, detector.part_sizes, dim=1)[1::2]
        self.register_buffer("silence", torch.cat(silence, dim=1))
        self.register_buffer("calibration", detector.calibration)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The detector's ``features`` and a state ``[b, s]`` -> ``score`` ``[b, k]``, ``next_state`` ``[b, s]``."""
        if len(self._shapes) == 1:
            frames = [features]
        else:
            hops = torch.split(features, [r * f for r, f in self._shapes], dim=2)  # [b, k, r*f] each
            frames = [hop.unflatten(2, shape).flatten(1, 2) for hop, shape in zip(hops, self._shapes, strict=True)]
        parts = torch.split(state + self.silence, self._sizes, dim=1)
        logits, nexts = [], []
        for head, frame, part in zip(self.heads, frames, parts, strict=True):
            logit, following = head(frame, part)
            logits.append(logit)
            nexts.append(following)
        return fuse_logits(logits, self.calibration), torch.cat(nexts, dim=1) - self.silence
