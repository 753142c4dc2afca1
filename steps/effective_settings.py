"""The settings that a stage runs with, and where each comes from."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nanowakeword.errors import ConfigError
from steps.closure import CHECKOUT
from steps.derived import Derived
from steps.settings import AUTO, AUTOMATIC, Settings, load_settings, parse_settings

__all__ = ["EffectiveSetting", "automatic_settings", "effective_settings", "flatten"]


class EffectiveSetting(NamedTuple):
    """A setting: its dotted name, its value as JSON, ``user``, ``automatic`` or ``default``, and why, if automatic."""

    name: str
    value: str
    source: str
    reason: str = ""


def effective_settings(
    settings: Settings, *, sections: Sequence[str], derived: Sequence[Derived[object]] = ()
) -> list[EffectiveSetting]:
    """The settings of some sections.

    A setting is the user's if it differs from the ``params.yaml`` that came with the code: in a git checkout the
    committed one, so that edits of the file itself are seen.

    Args:
        settings: all of them.
        sections: those to name.
        derived: values of those that are ``auto``.
    """
    defaults = flatten(_defaults().model_dump(mode="json", include=set(sections)))
    mine = flatten(settings.model_dump(mode="json", include=set(sections)))
    found = {
        name: EffectiveSetting(name, json.dumps(value), "default" if defaults.get(name, ...) == value else "user")
        for name, value in mine.items()
    }
    automatic = {
        item.name: EffectiveSetting(item.name, json.dumps(item.value), "automatic", item.reason) for item in derived
    }
    return list((found | automatic).values())


def automatic_settings(settings: Settings) -> list[str]:
    """Names of the settings that are to be derived from the data."""
    values = flatten(settings.model_dump(mode="json"))
    return [name for name, value in values.items() if value == AUTO and name.startswith(AUTOMATIC)]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _defaults() -> Settings:
    command = ["git", "-C", str(CHECKOUT), "show", "HEAD:./params.yaml"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        return parse_settings(text, source="the committed params.yaml")
    except (OSError, subprocess.SubprocessError, ConfigError):
        # No git, or settings were added since the last commit.
        return load_settings(CHECKOUT / "params.yaml")
