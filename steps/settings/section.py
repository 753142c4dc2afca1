"""What sections are made of: the strict base and the types of their values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Count", "Paths", "Positive", "Range", "Section", "Share"]


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


class Section(BaseModel):
    """A section of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
