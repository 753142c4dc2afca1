"""A whole detector: PCM in, calibrated probability out, everything remembered in one vector.

Several front ends err on different recordings, so together they miss several times less than either. They are fused
late, each with its own head, by an average of the heads' logits or one with learned weights; or their features are
joined, frame by frame, and given to one head.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from models.frames import FrameForm, join_forms, join_frames
from models.frontends.logmel_options import LogMelOptions
from models.frontends.table import FrontEndRow, front_end_row
from models.sizes import Network
from models.streaming import settle
from models.table import build_head
from nanowakeword.timing import HOP_S, HOP_SAMPLES

__all__ = ["Detector", "DetectorConfig", "fuse_logits", "group_frames", "run_heads"]

# Digital silence fed to find the silence state: longer than any receptive field, and than a recurrent head's memory.
_SILENCE_HOPS = 64
_SILENCE_REPEATS = 8


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """What a detector is made of; saved beside its weights.

    Attributes:
        frontends: names, each once.
        networks: of each head: one for each front end; of joined front ends one.
        members: networks of a head whose logits are averaged.
        fusion: of several front ends.
        logmel: options of that front end.
        tuned: front ends whose weights are the detector's own, fine-tuned with its heads.
    """

    frontends: tuple[str, ...]
    networks: tuple[Network, ...]
    members: int
    fusion: Literal["average", "learned", "joined"] = "average"
    logmel: LogMelOptions = field(default_factory=LogMelOptions)
    tuned: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> DetectorConfig:
        """The inverse of `dataclasses.asdict` through JSON."""
        return cls(
            frontends=tuple(fields["frontends"]),
            networks=tuple(Network(**network) for network in fields["networks"]),
            members=fields["members"],
            fusion=fields["fusion"],
            logmel=LogMelOptions.from_json(fields["logmel"]),
            # Detectors of before there was fine-tuning do not say it.
            tuned=tuple(fields.get("tuned", ())),
        )

    @property
    def rows(self) -> tuple[FrontEndRow, ...]:
        """Of the table, one for each front end."""
        return tuple(front_end_row(name, logmel=self.logmel) for name in self.frontends)

    @property
    def inputs(self) -> tuple[tuple[str, ...], ...]:
        """The front ends that each head listens to."""
        return (self.frontends,) if self.fusion == "joined" else tuple((name,) for name in self.frontends)

    @property
    def forms(self) -> tuple[FrameForm, ...]:
        """Of the frames that each head gets."""
        return (join_forms(self.rows),) if self.fusion == "joined" else self.rows


class Detector(nn.Module):
    """Front ends, heads and calibration in one graph.

    Args:
        config: what to build; the heads start with random weights.

    Attributes:
        heads: in the order of ``config.inputs``.
        weights: of each head's logit, ``[heads]``, with a sum of 1.
        calibration: Platt's scale and offset: ``score = sigmoid(scale * logit + offset)``.
    """

    weights: Tensor
    calibration: Tensor
    silence: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.frontends = nn.ModuleList(row.build() for row in config.rows)
        self.heads = nn.ModuleList(
            cast(nn.Module, build_head(network, form=form, members=config.members))
            for network, form in zip(config.networks, config.forms, strict=True)
        )
        self.front_sizes = [int(front.state_size) for front in self.frontends]  # type: ignore[arg-type]
        self.head_sizes = [int(head.state_size) for head in self.heads]  # type: ignore[arg-type]
        self.state_size = sum(self.front_sizes) + sum(self.head_sizes)
        self.register_buffer("weights", torch.full((len(self.heads),), 1.0 / len(self.heads)))
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.register_buffer("silence", torch.zeros(1, self.state_size), persistent=False)

    @property
    def feature_shape(self) -> tuple[int, int]:
        """Rows that a hop has in ``features``, and their width."""
        rows = self.config.rows
        if len(rows) == 1:
            return rows[0].frames_per_hop, rows[0].n_features
        return 1, sum(row.n_features * row.frames_per_hop for row in rows)

    @property
    def receptive_field_samples(self) -> int:
        """Past audio that can change a score by way of front end and window; a recurrent head remembers longer."""
        reaches = dict(zip(self.config.frontends, self.frontends, strict=True))
        return max(
            max(int(reaches[name].receptive_field_samples) for name in names)  # type: ignore[arg-type]
            + (int(head.window_frames) - 1) * (HOP_SAMPLES // form.frames_per_hop)  # type: ignore[arg-type]
            for names, form, head in zip(self.config.inputs, self.config.forms, self.heads, strict=True)
        )

    @property
    def window_s(self) -> float:
        """Longest window of a head: so long can one utterance keep the score up."""
        return max(
            int(head.window_frames) * HOP_S / form.frames_per_hop  # type: ignore[arg-type]
            for form, head in zip(self.config.forms, self.heads, strict=True)
        )

    @torch.no_grad()
    def settle_silence(self) -> None:
        """Compute the state after digital silence; call it once the weights are final, before streaming."""
        self.eval()
        audio = torch.zeros(1, HOP_SAMPLES * _SILENCE_HOPS)
        states, features = [], []
        for frontend, size in zip(self.frontends, self.front_sizes, strict=True):
            state = settle(frontend, audio, state_size=size, repeats=2)
            states.append(state)
            features.append(frontend(audio, state)[0])
        for head, size, frames in zip(self.heads, self.head_sizes, group_frames(features, self.config), strict=True):
            states.append(settle(head, frames, state_size=size, repeats=_SILENCE_REPEATS))
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
        *pasts, heads_past = torch.split(state + self.silence, [*self.front_sizes, sum(self.head_sizes)], dim=1)
        nexts, features = [], []
        for frontend, past in zip(self.frontends, pasts, strict=True):
            frames, following = frontend(signal, past)
            nexts.append(following)
            features.append(frames)
        logits, following = run_heads(self.heads, group_frames(features, self.config), heads_past, self.head_sizes)
        score = fuse_logits(logits, self.weights, self.calibration)
        packed = features[0] if len(features) == 1 else self._pack(features, hops=score.shape[1])
        return score, torch.cat([*nexts, following], dim=1) - self.silence, packed

    def _pack(self, features: list[Tensor], *, hops: int) -> Tensor:
        """Frames ``[b, k*r, f]`` of several front ends -> ``[b, k, sum of r*f]``."""
        named = zip(features, self.config.rows, strict=True)
        return torch.cat(
            [frames.reshape(-1, hops, row.n_features * row.frames_per_hop) for frames, row in named], dim=2
        )

    def save_state(self) -> dict[str, Any]:
        """Weights and configuration, for ``torch.save``; of a front end what is not tuned comes out of its package."""
        packaged = self._packaged_keys()
        own = {key: value for key, value in self.state_dict().items() if key not in packaged}
        return {"config": asdict(self.config), "state_dict": own}

    def _packaged_keys(self) -> set[str]:
        """Keys of the state that are not saved: all of front ends, but for the weights of tuned ones."""
        packaged = {key for key in self.state_dict() if key.startswith("frontends.")}
        for index, (name, frontend) in enumerate(zip(self.config.frontends, self.frontends, strict=True)):
            if name in self.config.tuned:
                packaged -= {f"frontends.{index}.{key}" for key, _ in frontend.named_parameters()}
        return packaged

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> Detector:
        """The inverse of `save_state`, with the silence state settled."""
        detector = cls(DetectorConfig.from_json(saved["config"]))
        missing = detector.load_state_dict(saved["state_dict"], strict=False)
        wrong = sorted(set(missing.missing_keys) - detector._packaged_keys()) + missing.unexpected_keys
        if wrong:
            raise ValueError(f"weights do not fit the configuration: {', '.join(wrong)}")
        detector.settle_silence()
        return detector


def group_frames(features: Sequence[Tensor], config: DetectorConfig) -> list[Tensor]:
    """Frames ``[b, k*r, f]`` of each front end -> those that each head gets."""
    return [join_frames(features, config.rows)] if config.fusion == "joined" else list(features)


def run_heads(
    heads: Iterable[nn.Module], frames: Sequence[Tensor], state: Tensor, sizes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Frames of each head, their states end to end -> logits ``[b, k, heads]``, the next states."""
    logits, nexts = [], []
    for head, mine, past in zip(heads, frames, torch.split(state, list(sizes), dim=1), strict=True):
        logit, following = head(mine, past)
        logits.append(logit)
        nexts.append(following)
    return torch.stack(logits, dim=2), torch.cat(nexts, dim=1)


def fuse_logits(logits: Tensor, weights: Tensor, calibration: Tensor) -> Tensor:
    """Logits ``[b, k, heads]`` -> calibrated probability ``[b, k]``: Platt's sigmoid of their weighted average."""
    return torch.sigmoid(logits @ (weights * calibration[0]) + calibration[1])
