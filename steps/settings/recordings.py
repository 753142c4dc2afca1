"""Real recordings: where they are and how they are shared out."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steps.settings.section import Paths, Section, Share

__all__ = ["Corpus", "RawAudio", "RealSplit"]


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
