"""How the heads and the gate are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from models.sizes import Network, SizeName
from steps.settings.network import NetworkSection, check_activation, known_architecture
from steps.settings.section import AutoCount, AutoPositive, AutoRate, Count, Positive, Section, Share
from steps.settings.windows import FRONT_ENDS

__all__ = [
    "POOLS",
    "Average",
    "Distill",
    "Finetune",
    "Isbl",
    "Margin",
    "NegativesUp",
    "NpySource",
    "SettledTrain",
    "SpecAugment",
    "Train",
]

POOLS = Literal["positive", "partial", "speech", "noise", "neighbour"]


class Isbl(Section):
    """Importance sampling based on loss."""

    alpha: Annotated[float, Field(ge=0.0, le=2.0)]
    epsilon: Annotated[float, Field(ge=1e-12)]
    loss_floor: Annotated[float, Field(ge=0.0)]
    loss_cap: Annotated[float, Field(gt=0.0)] | None
    loss_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    reset_every_steps: Positive | None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.loss_cap is not None and self.loss_floor > self.loss_cap:
            raise ValueError(f"got loss_floor {self.loss_floor:g}; expected at most loss_cap, {self.loss_cap:g}")
        return self


class Margin(Section):
    """A second loss, on the logits."""

    weight: Annotated[float, Field(ge=0.0)]
    margin_pos: float
    margin_neg: float
    logit_reg_weight: Annotated[float, Field(ge=0.0)]
    logit_reg_margin: Annotated[float, Field(gt=0.0)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        low, high = -self.logit_reg_margin, self.logit_reg_margin
        if not low <= self.margin_neg < self.margin_pos <= high:
            raise ValueError(
                f"got margin_neg {self.margin_neg:g} and margin_pos {self.margin_pos:g}; expected margin_neg below "
                f"margin_pos, both within -logit_reg_margin and logit_reg_margin, {low:g} and {high:g}"
            )
        return self


class NegativesUp(Section):
    """Heavier negatives while there are too many false accepts."""

    fa_per_hour: Annotated[float, Field(ge=0.0)]
    factor: Annotated[float, Field(gt=1.0)]
    most: Annotated[float, Field(gt=1.0)]


class SpecAugment(Section):
    """Hidden stretches of frames and features."""

    time_masks: Count
    frames: Positive
    feature_masks: Count
    features: Positive


class NpySource(Section):
    """Features of the user's."""

    path: Annotated[str, Field(min_length=1)]
    frontend: FRONT_ENDS
    pool: POOLS
    licence: Annotated[str, Field(min_length=1)]


class Train(NetworkSection):
    """The heads' training."""

    architectures: dict[FRONT_ENDS, str]
    fusion: Literal["average", "learned", "joined"]
    dropout_prob: Annotated[float, Field(ge=0.0, lt=1.0)]
    members: Annotated[int, Field(ge=1, le=16)]
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    steps: AutoPositive
    optimizer_type: Literal["adamw", "adam", "sgd"]
    learning_rate_max: AutoRate
    lr_scheduler_type: Literal["onecycle", "cosine", "cyclic"]
    warmup_steps: Count
    weight_decay: Annotated[float, Field(ge=0.0)]
    gradient_clip: Annotated[float, Field(gt=0.0)] | None
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    feature_noise: Annotated[float, Field(ge=0.0)]
    mixup_alpha: Annotated[float, Field(ge=0.0)]
    spec_augment: SpecAugment | None
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)]
    loss_bias: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    focal_gamma: Annotated[float, Field(ge=0.0, le=10.0)]
    margin: Margin | None
    negatives_up: NegativesUp | None
    batch_composition: Mapping[POOLS, AutoCount]
    npy_sources: Annotated[tuple[NpySource, ...], Field(strict=False)]
    neighbour_weight: Share
    isbl: Isbl
    checkpoint_every_steps: Positive
    checkpoint_limit: Positive
    validation_fa_per_hour: Annotated[float, Field(gt=0.0)]
    early_stopping: Positive | None

    @property
    def npy_paths(self) -> list[str]:
        """Of the files of `npy_sources`."""
        return [source.path for source in self.npy_sources]

    def network_on(self, frontend: str, size: SizeName) -> Network:
        """The network of the head on a front end."""
        chosen = {str(name): architecture for name, architecture in self.architectures.items()}
        return self.choose(chosen.get(frontend, self.architecture), size)

    @field_validator("architectures")
    @classmethod
    def _known_ones(cls, architectures: dict[str, str]) -> dict[str, str]:
        return {frontend: known_architecture(name) for frontend, name in architectures.items()}

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        for architecture in self.architectures.values():
            check_activation(self.activation_function, architecture)
        if self.architectures and self.fusion == "joined":
            raise ValueError("got architectures with fusion joined, which has one head; expected architectures {}")
        return self

    @model_validator(mode="after")
    def _drawn_from(self) -> Self:
        if not self.npy_sources:
            return self
        if self.fusion == "joined":
            raise ValueError("got npy_sources with fusion joined, whose rows are of all front ends; expected []")
        if len(set(self.npy_paths)) < len(self.npy_paths):
            raise ValueError(f"got npy_sources {', '.join(self.npy_paths)}; expected each file once")
        taken = [str(pool) for pool, count in self.batch_composition.items() if count]
        if idle := [source.path for source in self.npy_sources if source.pool not in taken]:
            raise ValueError(
                f"got npy_sources {', '.join(idle)} of pools that batch_composition takes nothing of; expected some "
                f"of {', '.join(taken)}"
            )
        return self

    @model_validator(mode="after")
    def _one_warm_up(self) -> Self:
        if self.warmup_steps and self.lr_scheduler_type == "onecycle":
            raise ValueError(
                f"got warmup_steps {self.warmup_steps} with lr_scheduler_type onecycle, which warms up by itself; "
                "expected warmup_steps 0, or cosine or cyclic"
            )
        return self

    @field_validator("batch_composition")
    @classmethod
    def _both_classes(cls, rows: dict[str, int | str]) -> dict[str, int | str]:
        if not rows.get("positive"):
            raise ValueError("has no positive rows; expected positive: 1 or more, or auto")
        if not any(count for pool, count in rows.items() if pool != "positive"):
            raise ValueError("has no negative rows; expected some of partial, speech, noise, neighbour")
        return rows


class SettledTrain(Train):
    """How heads are trained, with nothing left to derive: what `steps.automatic_training.settle_training` makes."""

    steps: Positive
    learning_rate_max: Annotated[float, Field(gt=0.0)]
    batch_composition: Mapping[POOLS, Count]


class Average(Section):
    """Weight averaging."""

    top_k: Positive


class Finetune(Section):
    """Front ends that go on learning together with their heads."""

    frontends: Annotated[tuple[FRONT_ENDS, ...], Field(strict=False)]
    steps: Positive
    learning_rate_max: Annotated[float, Field(gt=0.0)]

    @field_validator("frontends")
    @classmethod
    def _have_weights(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "logmel" in names:
            raise ValueError(f"got {list(names)}; expected front ends that have weights: logmel is computed")
        if len(set(names)) != len(names):
            raise ValueError(f"got {list(names)}; expected each front end once")
        return names


class Distill(NetworkSection):
    """The gate."""

    size: SizeName
    steps: Positive
    learning_rate_max: Annotated[float, Field(gt=0.0)]
    temperature: Annotated[float, Field(gt=0.0)]
    alpha: Share

    @property
    def network(self) -> Network:
        """The network asked for."""
        return self.choose(self.architecture, self.size)
