"""Workspaces: folders that each hold settings and everything made from them.

    params.yaml                    the checkout's settings, with what was asked for laid over them
    dvc.yaml dvc.lock .dvc/        the same pipeline, a DVC repository of its own
    models nanowakeword steps      links to the checkout's code, so that dvc.yaml is the same everywhere
    artifacts/ checkpoints/        what the stages make
    output/                        the model

All share the DVC cache of the checkout: a stage with equal code, settings and inputs is made once. A ``params.yaml``
that was edited by hand is kept, and what is asked for is laid over it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from nanowakeword.errors import ConfigError
from steps.closure import CHECKOUT, PACKAGES
from steps.pipeline import write_pipeline
from steps.settings import Section, Settings, parse_settings

__all__ = ["prepare_workspace"]

# What this module wrote last: a params.yaml that differs from it was edited by hand.
_GENERATED: Final = ".params.generated.yaml"


def prepare_workspace(
    folder: Path,
    *,
    phrase: str | None = None,
    name: str | None = None,
    real: Path | None = None,
    overlays: Sequence[Path] = (),
    options: Sequence[str] = (),
) -> list[str]:
    """Make a workspace, or bring one up to date; artifacts stay.

    Args:
        folder: where; new, empty or a workspace.
        phrase: the words to listen for.
        name: file name of the model.
        real: manifest of real recordings.
        overlays: partial settings files, laid over in order.
        options: single settings, ``section.key=value`` with a YAML value, laid over last.

    Returns:
        Notes for the user.

    Raises:
        ConfigError: the settings would be wrong (all errors are listed), or the folder is something else. Nothing is
            written then.
    """
    _refuse_strangers(folder)
    notes = [f"workspace {folder}"]
    params, generated = folder / "params.yaml", folder / _GENERATED
    base = CHECKOUT / "params.yaml"
    if params.is_file() and not (generated.is_file() and generated.read_bytes() == params.read_bytes()):
        base = params
        notes.append(
            f"keeping the changes made by hand in {params}; delete it to start from {CHECKOUT / 'params.yaml'}"
        )
    tree = _load(base)
    for overlay in overlays:
        _lay_over(tree, _load(overlay), Settings)
    asked: dict[str, Any] = {}
    if phrase is not None:
        asked["wakeword"] = {"phrase": phrase, "name": name}
    elif name is not None:
        asked["wakeword"] = {"name": name}
    if real is not None:
        if not real.is_file():
            raise ConfigError("--real", got=f"no file {real}", expected="the path of a manifest.csv")
        asked["corpus"] = {"real": str(real.resolve())}
    _lay_over(tree, asked, Settings)
    for option in options:
        _lay_over(tree, _parse_option(option), Settings)

    text = _dump(tree)
    sources = " + ".join([str(base), *map(str, overlays), *(["options"] if asked or options else [])])
    settings = parse_settings(text, source=sources)

    folder.mkdir(parents=True, exist_ok=True)
    _write(params, text)
    # Settings that were edited by hand stay the user's.
    if base != params:
        _write(generated, text)
    _link_code(folder)
    _configure_dvc(folder)
    write_pipeline(folder)
    notes.append(f"the phrase is {settings.wakeword.phrase!r}")
    return notes


def _refuse_strangers(folder: Path) -> None:
    """Only a new or empty folder, or a workspace, is written into."""
    if folder.resolve() == CHECKOUT:
        raise ConfigError(f"{folder} is the checkout itself, a workspace already", hint="Edit its params.yaml")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"workspace {folder}", got="a file", expected="a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _GENERATED).is_file():
        raise ConfigError(f"{folder} holds other things", expected="a new folder, an empty one or a workspace")


def _load(path: Path) -> Any:
    """A YAML mapping with its comments."""
    try:
        tree = YAML().load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from None
    except (UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(str(path), got="no sections", expected="a part of params.yaml")
    return tree


def _parse_option(option: str) -> dict[str, Any]:
    """``a.b=value`` as a tree."""
    key, separator, value = option.partition("=")
    if not separator or not all(key.split(".")):
        raise ConfigError("--set", got=repr(option), expected="KEY=VALUE, for example train.steps=300")
    try:
        tree: Any = YAML().load(value)
    except YAMLError:
        raise ConfigError(f"--set {key}", got=repr(value), expected="a YAML value") from None
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return dict(tree)


def _lay_over(tree: Any, over: Any, model: type[Section]) -> None:
    """Replace settings in a tree; sections are merged, everything else is replaced whole.

    Unknown keys go in too: the validation that follows names them together with all other errors.
    """
    for key, value in over.items():
        field = model.model_fields.get(str(key))
        section = field.annotation if field else None
        if isinstance(section, type) and issubclass(section, Section) and isinstance(value, dict) and key in tree:
            _lay_over(tree[key], value, section)
        else:
            tree[key] = value


def _dump(tree: Any) -> str:
    """Text of a tree, comments included, in the style of ``params.yaml``."""
    yaml = YAML()
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    stream = StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _write(path: Path, text: str) -> None:
    """Replace a file at once; an equal one is left alone."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)


def _link_code(folder: Path) -> None:
    """Links to the packages; within the checkout relative ones, so that it can be moved."""
    for package in PACKAGES:
        link, target = folder / package, CHECKOUT / package
        if link.is_symlink():
            link.unlink()
        link.symlink_to(_path_from(folder, target), target_is_directory=True)


def _configure_dvc(folder: Path) -> None:
    """A DVC repository without git, on the checkout's cache and ignoring what it ignores."""
    home = folder / ".dvc"
    home.mkdir(exist_ok=True)
    shared = (CHECKOUT / ".dvc" / "config").read_text(encoding="utf-8").replace("autostage = true", "no_scm = true")
    _write(home / "config", f"{shared}[cache]\n    dir = {_path_from(home, CHECKOUT / '.dvc' / 'cache')}\n")
    shutil.copyfile(CHECKOUT / ".dvcignore", folder / ".dvcignore")


def _path_from(folder: Path, target: Path) -> str:
    """Path of something in the checkout, relative for a folder that is in the checkout too."""
    if folder.resolve().is_relative_to(CHECKOUT):
        return os.path.relpath(target, folder.resolve())
    return str(target)
