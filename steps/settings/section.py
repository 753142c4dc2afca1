"""What sections are made of: the strict base and the types of their values."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from models.sizes import SizeName

__all__ = [
    "AUTO",
    "AutoCount",
    "AutoPositive",
    "AutoRate",
    "AutoSize",
    "Count",
    "Paths",
    "Positive",
    "Range",
    "Section",
    "Share",
]


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

# The word for "derive it from the data", see `steps.automatic`. What is in brackets is left out of where an error is.
AUTO: Final = "auto"
_AUTO, _VALUE = "[auto]", "[value]"
_OR_AUTO = Discriminator(lambda value: _AUTO if value == AUTO else _VALUE)
_Auto = Annotated[Literal["auto"], Tag(_AUTO)]
AutoPositive = Annotated[Annotated[Positive, Tag(_VALUE)] | _Auto, _OR_AUTO]
AutoCount = Annotated[Annotated[Count, Tag(_VALUE)] | _Auto, _OR_AUTO]
AutoRate = Annotated[Annotated[float, Field(gt=0.0), Tag(_VALUE)] | _Auto, _OR_AUTO]
AutoSize = Annotated[Annotated[SizeName, Tag(_VALUE)] | _Auto, _OR_AUTO]


class Section(BaseModel):
    """A section of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
