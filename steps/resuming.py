"""Where a training begins: at its own checkpoints, at those of another run, or anew.

Beside its checkpoints lies ``origin.json``: the settings and the data that they were made of. Checkpoints of another
run are taken over only where both agree, for then this run would have written the same ones; otherwise all that differs
is named.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from nanowakeword.errors import ConfigError, StorageError
from steps.checkpoints import checkpoint_paths
from steps.effective_settings import flatten
from steps.settings import Settings
from steps.stage import Beginning

__all__ = ["describe_origin", "find_beginning"]

_ORIGIN: Final = "origin.json"
# They decide how soon a run ends and what it leaves, and no number in it.
_FREE: Final = ("features.workers", "train.checkpoint_limit")

Origin = dict[str, dict[str, Any]]


def describe_origin(settings: Settings, *, sections: Sequence[str], data: Mapping[str, Path]) -> Origin:
    """What checkpoints are made of.

    Args:
        settings: all of them.
        sections: those that the stage reads, besides ``seed``.
        data: files and stores that the stage learns from, by name.
    """
    values = flatten(settings.model_dump(mode="json", include={"seed", *sections}))
    return {
        "settings": {name: value for name, value in values.items() if name not in _FREE},
        "data": {name: _digest(path) for name, path in data.items()},
    }


def find_beginning(folder: Path, beginning: Beginning, *, origin: Origin, tell: Callable[[str], None]) -> None:
    """Put the checkpoints in place that a training goes on from, and write down what they are made of.

    Args:
        folder: of the training's own checkpoints, ``.../checkpoints/STAGE-HASH``.
        beginning: what was asked for.
        origin: of this training.
        tell: told what was found.

    Raises:
        ConfigError: nothing to go on from, or checkpoints of other settings or other data.
    """
    if beginning.overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    elif beginning.resume_from is not None:
        _take_over(_find(beginning.resume_from, _stage(folder), origin), folder, tell=tell)
    elif beginning.resume and not _checkpoints(folder):
        others = [other for other in folder.parent.glob(f"{_stage(folder)}-*") if other != folder]
        reasons = [f"{other.name}: {'; '.join(_differences(other, origin)) or 'other code'}" for other in others]
        raise ConfigError(
            "--resume: no checkpoint of these settings, data and code",
            got="; ".join(reasons) or f"none at all in {folder.parent}",
            hint="Without --resume the training begins anew; checkpoints elsewhere: --resume DIR",
        )
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{_ORIGIN}.writing"
    beside.write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    beside.replace(folder / _ORIGIN)


def _find(place: Path, stage: str, origin: Origin) -> Path:
    """The folder of checkpoints that is meant.

    Raises:
        ConfigError: there is none, or none that agrees.
    """
    found = [place] if (place / _ORIGIN).is_file() else sorted((place / "checkpoints").glob(f"{stage}-*"))
    found = [folder for folder in found if _checkpoints(folder)]
    if not found:
        raise ConfigError(
            f"--resume {place}",
            got=f"no checkpoints of the stage {stage}",
            expected=f"a workspace that trained, or a folder checkpoints/{stage}-... of one",
        )
    reasons = {folder: _differences(folder, origin) for folder in found}
    for folder, differences in reasons.items():
        if not differences:
            return folder
    raise ConfigError(
        f"--resume {place}: checkpoints of another training",
        got="; ".join(differences for folder in found for differences in reasons[folder]),
        hint="Use the same settings and data, or train without --resume",
    )


def _take_over(source: Path, folder: Path, *, tell: Callable[[str], None]) -> None:
    """Copy checkpoints; ours of the same steps have the same numbers, and the newest of all is gone on from."""
    paths = _checkpoints(source)
    if source.resolve() == folder.resolve():
        return
    for path in paths:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_suffix(".writing")
        shutil.copyfile(path, beside)
        beside.replace(target)
    tell(f"goes on from {len(paths)} checkpoints of {source}")


def _differences(folder: Path, origin: Origin) -> list[str]:
    """How checkpoints differ from what is wanted, a phrase for each difference."""
    try:
        theirs: Origin = json.loads((folder / _ORIGIN).read_text("utf-8"))
        settings, data = theirs["settings"], theirs["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return [f"{folder / _ORIGIN}, which says what they are made of, is missing or damaged"]
    names = dict.fromkeys([*origin["settings"], *settings])
    nothing = "nothing"
    return [
        f"{name} is {_text(settings.get(name, nothing))} there and {_text(origin['settings'].get(name, nothing))} here"
        for name in names
        if settings.get(name, nothing) != origin["settings"].get(name, nothing)
    ] + [f"the data differ: {name}" for name, digest in origin["data"].items() if data.get(name) != digest]


def _text(value: object) -> str:
    return json.dumps(value)


def _checkpoints(folder: Path) -> list[Path]:
    """Those in a folder and in the folders in it."""
    inner = sorted(path for path in folder.glob("*") if path.is_dir())
    return [path for place in (folder, *inner) for path in checkpoint_paths(place)]


def _stage(folder: Path) -> str:
    return folder.name.rpartition("-")[0]


def _digest(path: Path) -> str:
    """Of a file its bytes; of a store its metadata, which hold a checksum of each chunk.

    Raises:
        StorageError: there is neither.
    """
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    files = sorted(path.rglob("zarr.json"))
    if not files:
        raise StorageError(f"no data at {path}", hint="Run: dvc repro")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
