"""Workspaces: folders that each hold settings and everything made from them.

    params.yaml                    the checkout's settings, with what was asked for laid over them
    dvc.yaml dvc.lock .dvc/        the same pipeline, a DVC repository of its own
    models nanowakeword steps      links to the checkout's code, so that dvc.yaml is the same everywhere
    artifacts/ checkpoints/        what the stages make
    output/                        the model

All share the DVC cache of the checkout: a stage with equal code, settings and inputs is made once. A ``params.yaml``
that was edited by hand is kept, and what is asked for is laid over it. A workspace keeps its phrase and its real
recordings until others are asked for; all else that is not asked for follows the checkout's settings.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError
from steps.closure import CHECKOUT, PACKAGES
from steps.overlay import SettingsTree, dump_tree, lay_over, load_tree, parse_option
from steps.pipeline import write_pipeline
from steps.settings import Settings, load_settings, parse_settings

__all__ = ["Workspace", "prepare_workspace"]

# What this module wrote last: a params.yaml that differs from it was edited by hand.
_GENERATED: Final = ".params.generated.yaml"


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """What was prepared.

    Attributes:
        folder: where it is.
        settings: what is set there.
        edited: whether its ``params.yaml`` was edited by hand, and therefore kept.
    """

    folder: Path
    settings: Settings
    edited: bool


def prepare_workspace(
    folder: Path | None = None,
    *,
    phrase: str | None = None,
    name: str | None = None,
    real: Path | None = None,
    overlays: Sequence[Path] = (),
    options: Sequence[str] = (),
) -> Workspace:
    """Make a workspace, or bring one up to date; artifacts stay.

    Args:
        folder: where; new, empty or a workspace. Without it ``workspaces/NAME`` in the checkout, the name being that of
            the overlays and of the phrase, or the checkout itself where nothing is asked for.
        phrase: the words to listen for.
        name: file name of the model.
        real: manifest of real recordings.
        overlays: partial settings files, laid over in order.
        options: single settings, ``section.key=value`` with a YAML value, laid over last.

    Raises:
        ConfigError: the settings would be wrong (all errors are listed), or the folder is something else. Nothing is
            written then.
    """
    asked = [*_wishes(phrase=phrase, name=name, real=real), *map(parse_option, options)]
    over = [*map(load_tree, overlays), *asked]
    if folder is None and not over:
        folder = CHECKOUT
    if folder is not None and folder.resolve() == CHECKOUT:
        if over:
            raise ConfigError(f"{folder} is the checkout itself", hint="Edit its params.yaml, or give another folder")
        settings = load_settings(CHECKOUT / "params.yaml")
        write_pipeline(CHECKOUT)
        return Workspace(folder=CHECKOUT, settings=settings, edited=False)
    if folder is None:
        _, settings = _lay_over_all(CHECKOUT / "params.yaml", over, overlays)
        words = settings.wakeword.file_name
        stems = [path.stem for path in overlays]
        folder = CHECKOUT / "workspaces" / "_".join([*stems, words] if phrase or name or not stems else stems)
    return _prepare(folder, over, overlays)


def _prepare(folder: Path, over: Sequence[SettingsTree], overlays: Sequence[Path]) -> Workspace:
    """Write a workspace, once all of its settings are known to be right."""
    _refuse_strangers(folder)
    params, generated = folder / "params.yaml", folder / _GENERATED
    edited = params.is_file() and params.read_bytes() != generated.read_bytes()
    if edited:
        # What was laid over before is not laid over the user's edits once more.
        text, settings = _lay_over_all(params, over, overlays, known=load_tree(generated))
        ours, _ = _lay_over_all(generated, over, overlays)
    else:
        text, settings = _lay_over_all(CHECKOUT / "params.yaml", over, overlays, kept=_purpose(generated))
        ours = text
    folder.mkdir(parents=True, exist_ok=True)
    _write(params, text)
    _write(generated, ours)
    _link_code(folder)
    _configure_dvc(folder)
    write_pipeline(folder)
    return Workspace(folder=folder, settings=settings, edited=edited)


def _purpose(generated: Path) -> Iterator[SettingsTree]:
    """What a workspace is for: its phrase and its real recordings; nothing for a new one."""
    if generated.is_file():
        tree = load_tree(generated)
        yield {"wakeword": {key: tree["wakeword"][key] for key in ("phrase", "name")}}
        yield {"corpus": {"real": tree["corpus"]["real"]}}


def _wishes(*, phrase: str | None, name: str | None, real: Path | None) -> Iterator[SettingsTree]:
    """Settings that have an option of their own."""
    if phrase is not None:
        # Another phrase is another model: it does not inherit a name.
        yield {"wakeword": {"phrase": phrase, "name": name}}
    elif name is not None:
        yield {"wakeword": {"name": name}}
    if real is not None:
        if not real.is_file():
            raise ConfigError("--real", got=f"no file {real}", expected="the path of a manifest.csv")
        yield {"corpus": {"real": str(real.resolve())}}


def _lay_over_all(
    base: Path,
    over: Sequence[SettingsTree],
    overlays: Sequence[Path],
    *,
    known: SettingsTree | None = None,
    kept: Iterable[SettingsTree] = (),
) -> tuple[str, Settings]:
    """Text of the settings in a file with others laid over it, first those that are kept, and the settings."""
    tree = load_tree(base)
    for part in (*kept, *over):
        lay_over(tree, part, known=known or {})
    text = dump_tree(tree)
    sources = [str(base), *map(str, overlays), *(["options"] if len(over) > len(overlays) else [])]
    return text, parse_settings(text, source=" + ".join(sources))


def _refuse_strangers(folder: Path) -> None:
    """Only a new or empty folder, or a workspace, is written into."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"workspace {folder}", got="a file", expected="a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _GENERATED).is_file():
        raise ConfigError(f"{folder} holds other things", expected="a new folder, an empty one or a workspace")


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
