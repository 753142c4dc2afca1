"""What the networks are fed: windows rendered from clips, and their features."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from models.frontends.logmel_options import LogMelOptions, PcenOptions
from nanowakeword.timing import HOP_S
from steps.settings.section import AutoPositive, Count, Positive, Range, Section, Share

__all__ = ["FRONT_ENDS", "Augment", "Features", "LogMel", "Pcen", "Shares"]

FRONT_ENDS = Literal["logmel", "speech_embedding", "wakehubert"]


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
    copies: AutoPositive
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


class Pcen(Section):
    """Per-channel energy normalisation."""

    smoothing: Annotated[float, Field(gt=0.0, lt=1.0)]
    alpha: Share
    delta: Annotated[float, Field(gt=0.0, le=100.0)]
    root: Annotated[float, Field(gt=0.0, le=1.0)]


class LogMel(Section):
    """The front end `logmel`."""

    bands: Annotated[int, Field(ge=8, le=128)]
    low_hz: Annotated[float, Field(ge=0.0)]
    high_hz: Annotated[float, Field(le=8_000.0)]
    hop_ms: Literal[5, 10, 20, 40]
    window_ms: Annotated[int, Field(le=80)]
    floor: Annotated[float, Field(ge=1e-6, le=1e6)]
    normalisation_s: Annotated[float, Field(ge=0.1, le=60.0)] | None
    pcen: Pcen | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.high_hz - self.low_hz < 1_000.0:
            raise ValueError(f"got bands from {self.low_hz:g} to {self.high_hz:g} Hz; expected 1000 Hz or more of them")
        if self.window_ms <= self.hop_ms:
            raise ValueError(f"got window_ms {self.window_ms}; expected more than hop_ms, {self.hop_ms}")
        if self.pcen is not None and self.normalisation_s is not None:
            raise ValueError("got normalisation_s and pcen, which is a normalisation itself; expected one of them")
        return self

    @property
    def options(self) -> LogMelOptions:
        """As the front end takes them."""
        fields = self.model_dump()
        return LogMelOptions(**{**fields, "pcen": None if self.pcen is None else PcenOptions(**fields["pcen"])})


class Features(Section):
    """What the networks see."""

    frontends: tuple[FRONT_ENDS, ...] = Field(strict=False, min_length=1)
    gate_frontend: FRONT_ENDS
    logmel: LogMel
    workers: Positive

    @field_validator("frontends")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"got {list(names)}; expected each front end once")
        return names
