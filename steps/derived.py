"""Settings that were derived from the data, as stages write them down for the journal and the model's card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

__all__ = ["DERIVING", "Derived", "read_derived", "save_derived"]

# Stages that derive settings.
DERIVING: Final = ("augment", "train")

_FILE: Final = "automatic.json"


Value = TypeVar("Value", covariant=True)


class Derived(NamedTuple, Generic[Value]):
    """A derived setting: its dotted name, its value, and why."""

    name: str
    value: Value
    reason: str


def save_derived(folder: Path, derived: Sequence[Derived[object]]) -> None:
    """Write ``automatic.json`` into a stage's folder, also where nothing was derived."""
    tree = {item.name: {"value": item.value, "reason": item.reason} for item in derived}
    (folder / _FILE).write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def read_derived(*folders: Path) -> dict[str, Any]:
    """What stages wrote into their folders: name -> ``value`` and ``reason``; nothing from stages that did not run."""
    found: dict[str, Any] = {}
    for path in (folder / _FILE for folder in folders):
        found |= json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found
