"""What Wyoming clients are told of this server and its models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from wyoming.info import Attribution, Info, WakeModel, WakeProgram

import nanowakeword
from nanowakeword.card import ModelCard
from serving.models import ServedModel

__all__ = ["takes_audio", "write_info"]

_NAME: Final = "NanoWakeword"
_URL: Final = "https://pypi.org/project/nanowakeword/"


def takes_audio(models: Iterable[ServedModel]) -> list[ServedModel]:
    """The models that a Wyoming client can ask for; the others take features."""
    return [model for model in models if model.graph is not None]


def write_info(models: Iterable[ServedModel]) -> Info:
    """The answer to ``describe``."""
    program = WakeProgram(
        name="nanowakeword",
        description="Wake word detection",
        attribution=Attribution(name=_NAME, url=_URL),
        installed=True,
        version=nanowakeword.__version__,
        models=[_write_model(model.card) for model in takes_audio(models)],
    )
    return Info(wake=[program])


def _write_model(card: ModelCard) -> WakeModel:
    # Cards grow and are written by others: only what has the right type is told.
    versions = card.content.get("versions")
    version = versions.get("nanowakeword") if isinstance(versions, dict) else None
    return WakeModel(
        name=card.name,
        description=card.phrase,
        phrase=card.phrase,
        attribution=_write_attribution(card.content.get("frontends")),
        installed=True,
        languages=[card.language] if card.language else [],
        version=version if isinstance(version, str) else None,
    )


def _write_attribution(front_ends: Any) -> Attribution:
    """Who made a model: this program, on networks that others may have trained."""
    rows: Sequence[Any] = front_ends if isinstance(front_ends, list) else []
    others = [row for row in rows if isinstance(row, dict) and isinstance(row.get("source"), str)]
    names = " and ".join(str(row.get("name")) for row in others)
    urls = [word.rstrip(",") for row in others for word in row["source"].split() if word.startswith("https://")]
    return Attribution(name=f"{_NAME}, on {names}" if names else _NAME, url=urls[0] if urls else _URL)
