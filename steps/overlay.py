"""Settings laid over settings: files and single values over ``params.yaml``, whose comments stay."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from nanowakeword.errors import ConfigError
from steps.settings import Section, Settings

__all__ = ["SettingsTree", "dump_tree", "lay_over", "load_tree", "parse_option"]

SettingsTree = dict[str, Any]


class _Part(dict[str, Any]):
    """Some keys of a mapping: those that it does not name stay."""


def load_tree(path: Path) -> SettingsTree:
    """Settings with their comments, or a part of them.

    Raises:
        ConfigError: the file cannot be read, or is no YAML mapping.
    """
    try:
        tree = YAML().load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from None
    except (UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(str(path), got="no sections", expected="a part of params.yaml")
    return tree


def parse_option(option: str) -> SettingsTree:
    """``section.key=value`` as a tree; of a mapping, as of ``train.batch_composition.noise=8``, other keys will stay.

    Raises:
        ConfigError: it is written in another way.
    """
    key, separator, value = option.partition("=")
    if not separator or not all(key.split(".")):
        raise ConfigError("--set", got=repr(option), expected="KEY=VALUE, for example train.steps=300")
    try:
        tree: Any = YAML().load(value)
    except YAMLError:
        raise ConfigError(f"--set {key}", got=repr(value), expected="a YAML value") from None
    for part in reversed(key.split(".")):
        tree = _Part({part: tree})
    return _Part(tree)


def lay_over(tree: SettingsTree, over: SettingsTree, *, known: SettingsTree, model: type[Section] = Settings) -> None:
    """Replace settings in a tree; sections are merged, everything else is replaced whole.

    Unknown keys go in too: the validation that follows names them together with all other errors.

    Args:
        tree: the settings.
        over: what to lay over them.
        known: settings whose values in ``over`` are no news, and are left alone.
        model: what all three are.
    """
    for key, value in over.items():
        field = model.model_fields.get(str(key))
        kind = field.annotation if field else None
        section = kind if isinstance(kind, type) and issubclass(kind, Section) else None
        if (section or isinstance(value, _Part)) and isinstance(value, dict) and isinstance(tree.get(key), dict):
            lay_over(tree[key], value, known=known.get(key) or {}, model=section or Section)
        elif key not in known or known[key] != value:
            tree[key] = value


def dump_tree(tree: SettingsTree) -> str:
    """Text of a tree, comments included, in the style of ``params.yaml``."""
    yaml = YAML()
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    yaml.representer.add_representer(_Part, RoundTripRepresenter.represent_dict)
    stream = StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()
