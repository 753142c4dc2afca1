"""The settings: ``params.yaml``, typed and validated whole before the first slow second.

One section per stage. Unknown keys are refused with the known ones named, and all errors come at once.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from models.sizes import MAX_BLOCKS, SIZES, Network, SizeName, activations, choose_network, plain_name
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_S

__all__ = ["Section", "Settings", "load_settings", "parse_settings"]


def _pair(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"got {value!r}; expected two numbers, [low, high]")
    return tuple(value)


def _list_paths(value: object) -> object:
    """One path or a list of them; null is none."""
    paths = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) and path.strip() for path in paths):
        raise ValueError(f"got {value!r}; expected a path, a list of paths, or null")
    return tuple(dict.fromkeys(paths))


Range = Annotated[tuple[float, float], BeforeValidator(_pair)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_list_paths)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]

FRONT_ENDS = Literal["logmel", "speech_embedding", "wakehubert"]
ENGINES = Literal["espeak", "festival", "flite", "hibari", "kokoro", "piper", "pyttsx3"]
POOLS = Literal["positive", "partial", "speech", "noise", "neighbour"]


class Section(BaseModel):
    """A section of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Wakeword(Section):
    """The phrase itself."""

    phrase: str
    name: str | None
    language: str
    pronunciation: str | None

    @field_validator("phrase")
    @classmethod
    def _speakable(cls, phrase: str) -> str:
        phrase = " ".join(phrase.split())
        if not phrase:
            raise ValueError('is empty; expected the words to listen for, for example "hey nano"')
        # Marks are the vowel signs of Indic scripts and combining accents.
        odd = sorted({c for c in phrase if unicodedata.category(c)[0] not in "LM" and c not in " '-"})
        if odd:
            raise ValueError(
                f"got the characters {' '.join(odd)!r}; expected letters, spaces, apostrophes and hyphens. "
                "Write numbers and symbols as words"
            )
        if not any(c.isalpha() for c in phrase):
            raise ValueError(f"got {phrase!r}, which has no letter in it; expected the words to listen for")
        if len(phrase) > 60:
            raise ValueError(f"got {len(phrase)} characters; expected at most 60, a phrase of one to four words")
        return phrase

    @field_validator("name")
    @classmethod
    def _file_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"got {name!r}; expected up to 64 letters, digits, '-' and '_', or null")
        return name

    @field_validator("pronunciation")
    @classmethod
    def _some_sounds(cls, pronunciation: str | None) -> str | None:
        # Which sounds a language has is known to the stage phrases, the first and quickest, and to `steps check`.
        if pronunciation is not None and not pronunciation.strip(" /[]"):
            raise ValueError("is empty; expected the phrase in IPA, or null")
        return pronunciation

    @property
    def file_name(self) -> str:
        """Name of the model's files, without an ending."""
        return self.name or re.sub(r"[ '-]+", "_", self.phrase.lower()).strip("_")


class Phrases(Section):
    """Texts to speak."""

    partials: bool
    neighbours: Count
    min_distance: Share
    sentences: Positive


class Synthesize(Section):
    """Clips of synthetic speech."""

    positives: Positive
    partials: Count
    neighbours: Count
    negatives: Positive
    evaluation_neighbours: Count
    evaluation_hours: Annotated[float, Field(ge=0.0, le=100.0)]
    engines: dict[ENGINES, Annotated[float, Field(gt=0.0)] | None] = Field(min_length=1)
    speed: Range
    drop_share: Annotated[float, Field(ge=0.0, le=0.5)]
    workers: Positive

    @field_validator("engines")
    @classmethod
    def _all_or_none(cls, shares: dict[ENGINES, float | None]) -> dict[ENGINES, float | None]:
        without = [name for name, share in shares.items() if share is None]
        if 0 < len(without) < len(shares):
            raise ValueError(
                f"got no share for {', '.join(without)}; expected shares for all engines, or null for all, "
                "which shares by the square root of their numbers of voices"
            )
        return shares

    @field_validator("speed")
    @classmethod
    def _ordered(cls, speed: tuple[float, float]) -> tuple[float, float]:
        low, high = speed
        if not 0.25 <= low <= high <= 4.0:
            raise ValueError(f"got [{low}, {high}]; expected [low, high] with 0.25 <= low <= high <= 4")
        return speed


class RealSplit(Section):
    """Shares of the real recordings."""

    train: Share
    calibration: Share
    test: Share

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.calibration + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"shares add up to {total:g}; expected 1")
        return self


class RawAudio(Section):
    """Form of files without a header."""

    rate_hz: Annotated[int, Field(ge=4_000, le=192_000)]
    width_bytes: Literal[1, 2, 3, 4]
    channels: Annotated[int, Field(ge=1, le=8)]


class Corpus(Section):
    """Real recordings."""

    real: Paths
    split: RealSplit
    positive_data_path: Paths
    negative_data_path: Paths
    background_paths: Paths
    rir_paths: Paths
    misses_path: Paths
    own_split: RealSplit
    raw: RawAudio

    @property
    def paths(self) -> list[str]:
        """All manifests and folders, each once."""
        return list(dict.fromkeys(path for field in self.path_fields() for path in getattr(self, field)))

    @classmethod
    def path_fields(cls) -> list[str]:
        """Names of the settings that hold paths."""
        return [name for name, field in cls.model_fields.items() if field.annotation == tuple[str, ...]]


class Shares(Section):
    """Share of the windows that each augmentation is applied to, by its name in the table."""

    speed: Share
    tempo: Share
    pitch: Share
    tract: Share
    context: Share
    room: Share
    noise: Share
    eq: Share
    microphone: Share
    band: Share
    gate: Share
    clipping: Share
    level: Share
    take: Share
    codec: Share


class Augment(Section):
    """Windows rendered from clips."""

    window_s: Annotated[float, Field(ge=1.6, le=8.0)]
    copies: Positive
    neighbour_copies: Count
    recording_copies: Count
    negatives: Positive
    noise: Positive
    shares: Shares
    rooms: Annotated[int, Field(ge=2, le=10_000)]
    snr_db: Range
    workers: Positive

    @field_validator("window_s")
    @classmethod
    def _whole_hops(cls, window_s: float) -> float:
        hops = window_s / HOP_S
        if abs(hops - round(hops)) > 1e-6:
            raise ValueError(
                f"got {window_s} s; expected a multiple of {HOP_S:g} s, for example {round(hops) * HOP_S:g}"
            )
        return window_s

    @field_validator("snr_db")
    @classmethod
    def _ordered(cls, snr_db: tuple[float, float]) -> tuple[float, float]:
        if not -20.0 <= snr_db[0] <= snr_db[1] <= 60.0:
            raise ValueError(f"got {list(snr_db)}; expected [low, high] in dB with -20 <= low <= high <= 60")
        return snr_db


class Features(Section):
    """What the networks see."""

    frontends: tuple[FRONT_ENDS, ...] = Field(strict=False, min_length=1)
    gate_frontend: FRONT_ENDS
    workers: Positive

    @field_validator("frontends")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"got {list(names)}; expected each front end once")
        return names


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


class NetworkSection(Section):
    """A section that says which network to train."""

    architecture: str
    size: SizeName
    layer_size: Annotated[int, Field(ge=2, le=1_024)] | None
    n_blocks: Annotated[int, Field(ge=1, le=MAX_BLOCKS)] | None
    embedding_dim: Annotated[int, Field(ge=1, le=1_024)] | None
    activation_function: str | None

    @property
    def network(self) -> Network:
        """The network asked for."""
        return choose_network(
            self.architecture,
            size=self.size,
            layer_size=self.layer_size,
            n_blocks=self.n_blocks,
            embedding_dim=self.embedding_dim,
            activation_function=self.activation_function,
        )

    @field_validator("architecture")
    @classmethod
    def _known(cls, architecture: str) -> str:
        name = plain_name(architecture)
        if name is None:
            raise ValueError(f"got {architecture!r}; expected one of {', '.join(SIZES)}")
        return name

    @field_validator("activation_function")
    @classmethod
    def _free(cls, function: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("architecture")  # missing where it is wrong itself
        if function is not None and name is not None and function not in activations(name):
            expected = ", ".join(activations(name)) or f"null: {name} has its own"
            raise ValueError(f"got {function!r}; expected {expected}")
        return function


class Train(NetworkSection):
    """The heads' training."""

    dropout_prob: Annotated[float, Field(ge=0.0, lt=1.0)]
    members: Annotated[int, Field(ge=1, le=16)]
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    steps: Positive
    optimizer_type: Literal["adamw", "adam", "sgd"]
    learning_rate_max: Annotated[float, Field(gt=0.0)]
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
    batch_composition: dict[POOLS, Count]
    neighbour_weight: Share
    isbl: Isbl
    checkpoint_every_steps: Positive
    checkpoint_limit: Positive
    validation_fa_per_hour: Annotated[float, Field(gt=0.0)]
    early_stopping: Positive | None

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
    def _both_classes(cls, rows: dict[str, int]) -> dict[str, int]:
        if not rows.get("positive"):
            raise ValueError("has no positive rows; expected positive: 1 or more")
        if sum(rows.values()) == rows["positive"]:
            raise ValueError("has no negative rows; expected some of partial, speech, noise, neighbour")
        return rows


class Average(Section):
    """Weight averaging."""

    last: Positive


class Distill(NetworkSection):
    """The gate."""

    steps: Positive
    learning_rate_max: Annotated[float, Field(gt=0.0)]
    temperature: Annotated[float, Field(gt=0.0)]
    alpha: Share


class Export(Section):
    """The one-graph ONNX file."""

    opset: Annotated[int, Field(ge=18, le=21)]
    tolerance: Annotated[float, Field(gt=0.0)]


class Evaluate(Section):
    """The measurement."""

    budgets_fa_per_hour: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(strict=False, min_length=1)
    babble_snr_db: float
    refractory_s: Annotated[float, Field(ge=0.0)]
    tail_s: Annotated[float, Field(ge=0.0)]


class Publish(Section):
    """The files a user takes away."""

    budget_fa_per_hour: Annotated[float, Field(gt=0.0)]


class Settings(Section):
    """Everything a user sets."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    wakeword: Wakeword
    phrases: Phrases
    synthesize: Synthesize
    corpus: Corpus
    augment: Augment
    features: Features
    train: Train
    average: Average
    distill: Distill
    export: Export
    evaluate: Evaluate
    publish: Publish

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.publish.budget_fa_per_hour not in self.evaluate.budgets_fa_per_hour:
            raise ValueError(
                f"publish.budget_fa_per_hour: got {self.publish.budget_fa_per_hour:g}; expected one of "
                f"evaluate.budgets_fa_per_hour, {list(self.evaluate.budgets_fa_per_hour)}"
            )
        if self.average.last > self.train.checkpoint_limit:
            raise ValueError(
                f"average.last: got {self.average.last}; expected at most train.checkpoint_limit, "
                f"{self.train.checkpoint_limit}"
            )
        steps = min(self.train.steps, self.distill.steps)
        if self.train.warmup_steps >= steps:
            raise ValueError(
                f"train.warmup_steps: got {self.train.warmup_steps}; expected fewer than train.steps and "
                f"distill.steps, {steps}"
            )
        return self


def load_settings(path: Path) -> Settings:
    """Read and validate the settings.

    Args:
        path: a YAML file like the repository's ``params.yaml``.

    Raises:
        ConfigError: the file is missing, is no YAML, or has one or more wrong settings; all of them are listed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no settings at {path}", hint="Give the path of a params.yaml") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from None
    return parse_settings(text, source=str(path))


def parse_settings(text: str, *, source: str) -> Settings:
    """Validate the text of a settings file.

    Args:
        text: YAML.
        source: where it comes from, for the messages.

    Raises:
        ConfigError: it is no YAML, or has one or more wrong settings; all of them are listed.
    """
    try:
        tree: Any = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(
            source, got=f"a YAML {type(tree).__name__}", expected=f"sections {', '.join(Settings.model_fields)}"
        )
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        count = f"{len(lines)} wrong setting" + ("s" if len(lines) > 1 else "")
        raise ConfigError("\n  ".join([f"{source}: {count}", *lines])) from None


def _explain(item: Any) -> str:
    """One line for one pydantic error: where, what was got, what was expected."""
    where = ".".join(str(part) for part in item["loc"] if part != "[key]") or "settings"
    if item["type"] == "extra_forbidden":
        known = _known_keys(item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        guess = f'; did you mean "{near[0]}"?' if near else ""
        return f"{where}: unknown key{guess} (known: {', '.join(known)})"
    if item["type"] == "missing":
        return f"{where}: missing"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return message if where == "settings" else f"{where}: {message}"
    if item["type"] == "model_type":
        return f"{where}: got {item['input']!r}; expected the settings {', '.join(_known_keys(item['loc']))}"
    if message.startswith("Input should be "):
        message = f"expected {message.removeprefix('Input should be ')}"
    return f"{where}: got {item['input']!r}; {message[0].lower()}{message[1:]}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    """Names of the fields at a place in the settings."""
    model: Any = Settings
    for part in location:
        model = model.model_fields[part].annotation
        # A section that may be null.
        model = next((kind for kind in get_args(model) if isinstance(kind, type) and issubclass(kind, Section)), model)
    return list(model.model_fields)
