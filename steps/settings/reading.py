"""A settings file, read and validated whole; all errors come at once, each with what was got and what was expected."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from nanowakeword.errors import ConfigError
from steps.settings.section import AUTO, Section
from steps.settings.whole import AUTOMATIC, Settings

__all__ = ["load_settings", "parse_settings"]


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
    where = ".".join(str(part) for part in item["loc"] if not str(part).startswith("[")) or "settings"
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
    if item["loc"][-1:] == ("[value]",):
        message += ", or auto"
    elif item["input"] == AUTO:
        message += f"; auto is for {', '.join(AUTOMATIC)}"
    return f"{where}: got {item['input']!r}; {message[0].lower()}{message[1:]}"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    """Names of the fields at a place in the settings."""
    model: Any = Settings
    for part in location:
        if isinstance(part, int):  # a place in a list of sections
            continue
        model = model.model_fields[part].annotation
        # A section that may be null.
        model = next((kind for kind in get_args(model) if isinstance(kind, type) and issubclass(kind, Section)), model)
    return list(model.model_fields)
