"""A whole detector: PCM in, calibrated probability out, everything remembered in one vector.

Several front ends are fused late: each has its own head, and the heads' logits are averaged. They err on different
recordings, so the average misses several times less than either.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.frontends.table import FRONT_ENDS, build_front_end
from models.sizes import Network
from models.streaming import settle
from models.table import build_head
from nanowakeword.timing import HOP_S, HOP_SAMPLES

__all__ = ["Detector", "DetectorConfig", "fuse_logits"]

# Digital silence fed to find the silence state: longer than any receptive field, and than a recurrent head's memory.
_SILENCE_HOPS = 64
_SILENCE_REPEATS = 8


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """What a detector is made of; saved beside its weights."""

    frontends: tuple[str, ...]
    network: Network
    members: int

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> DetectorConfig:
        """The inverse of `dataclasses.asdict` through JSON."""
        network = Network(**fields["network"])
        return cls(**{**fields, "frontends": tuple(fields["frontends"]), "network": network})


class Detector(nn.Module):
    """Front ends, heads and calibration in one graph.

    Args:
        config: what to build; the heads start with random weights.

    Attributes:
        heads: one per front end, in order.
        calibration: Platt's scale and offset: ``score = sigmoid(scale * logit + offset)``.
    """

    calibration: Tensor
    silence: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.frontends = nn.ModuleList(build_front_end(name) for name in config.frontends)
        self.heads = nn.ModuleList(
            cast(nn.Module, build_head(config.network, frontend=name, members=config.members))
            for name in config.frontends
        )
        self.part_sizes = [
            int(part.state_size)  # type: ignore[arg-type]
            for pair in zip(self.frontends, self.heads, strict=True)
            for part in pair
        ]
        self.state_size = sum(self.part_sizes)
        rows = [FRONT_ENDS[name] for name in config.frontends]
        self.features_per_hop = sum(row.n_features * row.frames_per_hop for row in rows)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.register_buffer("silence", torch.zeros(1, self.state_size), persistent=False)

    @property
    def receptive_field_samples(self) -> int:
        """Past audio that can change a score by way of front end and window; a recurrent head remembers longer."""
        reaches = []
        for name, frontend, head in zip(self.config.frontends, self.frontends, self.heads, strict=True):
            frame_samples = HOP_SAMPLES // FRONT_ENDS[name].frames_per_hop
            window = (int(head.window_frames) - 1) * frame_samples  # type: ignore[arg-type]
            reaches.append(int(frontend.receptive_field_samples) + window)  # type: ignore[arg-type]
        return max(reaches)

    @property
    def window_s(self) -> float:
        """Longest window of a head: so long can one utterance keep the score up."""
        return max(
            int(head.window_frames) * HOP_S / FRONT_ENDS[name].frames_per_hop  # type: ignore[arg-type]
            for name, head in zip(self.config.frontends, self.heads, strict=True)
        )

    @torch.no_grad()
    def settle_silence(self) -> None:
        """Compute the state after digital silence; call it once the weights are final, before streaming."""
        self.eval()
        audio = torch.zeros(1, HOP_SAMPLES * _SILENCE_HOPS)
        states = []
        for frontend, head in zip(self.frontends, self.heads, strict=True):
            size = int(frontend.state_size)  # type: ignore[arg-type]
            state = settle(frontend, audio, state_size=size, repeats=2)
            features, _ = frontend(audio, state)
            states += [state, settle(head, features, state_size=int(head.state_size), repeats=_SILENCE_REPEATS)]  # type: ignore[arg-type]
        self.silence = torch.cat(states, dim=1)

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One call of the graph.

        Args:
            audio: int16 ``[b, 1280*k]``.
            state: float32 ``[b, s]``; zeros mean "after digital silence".

        Returns:
            ``score`` ``[b, k]``, ``next_state`` ``[b, s]``, and ``features``: ``[b, k*r, f]`` of a single front end, or
            ``[b, k, sum of r*f]`` of several, each hop's frames end to end.
        """
        signal = audio.to(torch.float32)
        parts = torch.split(state + self.silence, self.part_sizes, dim=1)
        logits, nexts, features = [], [], []
        for index, (frontend, head) in enumerate(zip(self.frontends, self.heads, strict=True)):
            frames, next_front = frontend(signal, parts[2 * index])
            logit, next_head = head(frames, parts[2 * index + 1])
            logits.append(logit)
            nexts += [next_front, next_head]
            features.append(frames)
        score = fuse_logits(logits, self.calibration)
        packed = features[0] if len(features) == 1 else self._pack(features, hops=score.shape[1])
        return score, torch.cat(nexts, dim=1) - self.silence, packed

    def _pack(self, features: list[Tensor], *, hops: int) -> Tensor:
        """Frames ``[b, k*r, f]`` of several front ends -> ``[b, k, sum of r*f]``."""
        named = zip(features, self.config.frontends, strict=True)
        return torch.cat([frames.reshape(-1, hops, _per_hop(name)) for frames, name in named], dim=2)

    def save_state(self) -> dict[str, Any]:
        """Weights and configuration, for ``torch.save``; frozen front ends are rebuilt from their packages."""
        heads = {key: value for key, value in self.state_dict().items() if not key.startswith("frontends.")}
        return {"config": asdict(self.config), "state_dict": heads}

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> Detector:
        """The inverse of `save_state`, with the silence state settled."""
        detector = cls(DetectorConfig.from_json(saved["config"]))
        missing = detector.load_state_dict(saved["state_dict"], strict=False)
        wrong = [key for key in missing.missing_keys if not key.startswith("frontends.")] + missing.unexpected_keys
        if wrong:
            raise ValueError(f"weights do not fit the configuration: {', '.join(wrong)}")
        detector.settle_silence()
        return detector


def fuse_logits(logits: list[Tensor], calibration: Tensor) -> Tensor:
    """Logits ``[b, k]`` of each head -> calibrated probability ``[b, k]``: Platt's sigmoid of their mean."""
    logit = logits[0] if len(logits) == 1 else torch.stack(logits).mean(dim=0)
    return torch.sigmoid(logit * calibration[0] + calibration[1])


def _per_hop(frontend: str) -> int:
    row = FRONT_ENDS[frontend]
    return row.n_features * row.frames_per_hop
