"""The frame that every stage runs in: validated settings in, a finished folder out, nothing half written.

A stage's module has one public function ``run(context)``. It reads ``context.input(...)``, writes into ``context.out``,
which is new and empty, and returns; the frame then renames that folder into place. What must survive a kill lives in
``context.checkpoints``, a folder named by the hash of the stage's code, inputs and settings; when a stage has finished,
its folders of other hashes are removed.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError, NanoWakewordError, StorageError
from steps.closure import CHECKOUT, closure
from steps.progress import Progress
from steps.settings import Settings, load_settings

__all__ = ["STAGES", "Beginning", "Context", "Stage", "own_paths", "run_stage", "stage_seconds"]


_SECONDS: Final = "checkpoints/seconds.json"
_DISK_ERRORS: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of the table of stages.

    Attributes:
        name: the stage, its module in ``steps`` and its entry in ``dvc.yaml``.
        out: folder that it makes, relative to the workspace.
        inputs: stages whose folders it reads.
        sections: sections of the settings that it reads, besides ``seed``.
    """

    name: str
    out: str
    inputs: tuple[str, ...]
    sections: tuple[str, ...]


def _stage(name: str, *inputs: str, sections: tuple[str, ...], out: str | None = None) -> Stage:
    return Stage(name=name, out=out or f"artifacts/{name}", inputs=inputs, sections=sections)


STAGES: Final[dict[str, Stage]] = {
    stage.name: stage
    for stage in (
        _stage("phrases", sections=("wakeword", "phrases")),
        _stage("synthesize", "phrases", sections=("wakeword", "synthesize")),
        _stage("corpus", sections=("wakeword", "corpus")),
        _stage("augment", "synthesize", "corpus", sections=("wakeword", "augment")),
        _stage("features", "augment", sections=("features",)),
        _stage("train", "features", sections=("features", "train")),
        _stage("average", "train", "features", sections=("features", "train", "average")),
        _stage("finetune", "average", "augment", sections=("train", "finetune")),
        _stage("distill", "finetune", "features", "augment", sections=("features", "train", "average", "distill")),
        _stage("export", "finetune", "distill", "synthesize", "corpus", sections=("wakeword", "export")),
        _stage("evaluate", "export", "synthesize", "corpus", sections=("wakeword", "evaluate", "publish")),
        _stage(
            "publish",
            "phrases",
            "synthesize",
            "corpus",
            "export",
            "evaluate",
            sections=("wakeword", "train", "publish"),
            out="output",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Where a stage that trains is to begin; by default where it was interrupted, or else anew.

    Attributes:
        resume: insist on going on.
        resume_from: go on from the checkpoints of another run: its workspace, or the folder that holds them.
        overwrite: forget the checkpoints that there are.
    """

    resume: bool = False
    resume_from: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a stage gets.

    Attributes:
        settings: all settings, validated.
        root: the workspace, the folder with ``params.yaml``.
        out: new, empty folder for the stage's files.
        checkpoints: folder for what must survive a kill, keyed by code, inputs and settings; the stage creates it.
        beginning: where a training is to begin.
        progress: where to report.
    """

    settings: Settings
    root: Path
    out: Path
    checkpoints: Path
    beginning: Beginning
    progress: Progress

    def input(self, stage: str) -> Path:
        """Finished folder of an earlier stage.

        Raises:
            ConfigError: that stage has not run.
        """
        folder = self.root / STAGES[stage].out
        if not folder.is_dir():
            raise ConfigError(f"stage {stage} has not run", got=f"no folder {folder}", hint="Run: dvc repro")
        return folder


def run_stage(name: str, *, root: Path, beginning: Beginning | None = None) -> None:
    """Run one stage in a workspace and put its folder in place.

    Args:
        name: a key of `STAGES`.
        root: the folder with ``params.yaml``.
        beginning: where a training is to begin; None: where it was interrupted, or else at its beginning.

    Raises:
        ConfigError: unknown stage, wrong settings, or an earlier stage has not run.
        StorageError: the disk is full or refuses; earlier results are untouched.
    """
    if name not in STAGES:
        raise ConfigError("stage", got=repr(name), expected=f"one of {', '.join(STAGES)}")
    stage = STAGES[name]
    settings = load_settings(root / "params.yaml")
    final = root / stage.out
    working = final.with_name(f".{final.name}.working")
    checkpoints = root / "checkpoints" / f"{name}-{_fingerprint(stage, settings, root)}"
    started = time.monotonic()
    try:
        if working.exists():
            shutil.rmtree(working)
        working.mkdir(parents=True)
        context = Context(
            settings=settings,
            root=root,
            out=working,
            checkpoints=checkpoints,
            beginning=beginning or Beginning(),
            progress=Progress(name),
        )
        for needed in stage.inputs:
            context.input(needed)
        importlib.import_module(f"steps.{name}").run(context)
        _put_in_place(working, final)
    except NanoWakewordError:
        raise
    except Exception as error:
        if (problem := _refusal_of_disk(error)) is None:
            raise
        raise StorageError(
            f"stage {name} was refused by the disk: {problem}",
            hint="Free some space or choose another disk, then run again: finished stages stay as they are",
        ) from error
    finally:
        shutil.rmtree(working, ignore_errors=True)
    _note_seconds(root, name, time.monotonic() - started)
    for old in checkpoints.parent.glob(f"{name}-*"):
        if old != checkpoints:
            shutil.rmtree(old, ignore_errors=True)


def own_paths(stage: str, settings: Settings) -> list[str]:
    """Files and folders of the user's that a stage reads, absolute or relative to the workspace."""
    own = {"corpus": settings.corpus.paths, "train": settings.train.npy_paths, "average": settings.train.npy_paths}
    return own.get(stage, [])


def stage_seconds(root: Path) -> dict[str, float]:
    """How long each stage took when it last ran to its end here; what an interrupted run had done before is not in it.

    Kept beside the checkpoints: a stage's own files are the same whenever it runs.
    """
    path = root / _SECONDS
    seconds: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {name: seconds[name] for name in STAGES if name in seconds}


def _note_seconds(root: Path, name: str, seconds: float) -> None:
    path = root / _SECONDS
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(f".{name}")
    beside.write_text(json.dumps({**stage_seconds(root), name: round(seconds, 1)}) + "\n", encoding="utf-8")
    beside.replace(path)


def _refusal_of_disk(error: Exception) -> str | None:
    """What a disk that is full, or may not be written, said; None for an error of another kind."""
    if isinstance(error, OSError):
        if error.errno in _DISK_ERRORS:
            return f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)
        # NumPy's own message for a short write, which carries no error number.
        return str(error) if error.errno is None and "requested and" in str(error) else None
    # torch.save tells a short write in these words only.
    torch_says = isinstance(error, RuntimeError) and (
        "PytorchStreamWriter" in str(error) or "unexpected pos" in str(error)
    )
    return "a checkpoint was cut short" if torch_says else None


def _put_in_place(working: Path, final: Path) -> None:
    """Swap the finished folder in; the old one goes last."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    working.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _fingerprint(stage: Stage, settings: Settings, root: Path) -> str:
    """Key for checkpoints: hash of the code, the settings, the user's files, and the inputs' names, sizes and times.

    The user's files are written by nobody that we know, so that it is their bytes that count. Of one that is missing
    the stage itself complains.
    """
    digest = hashlib.sha256(str(settings.seed).encode())
    for path in closure(f"steps.{stage.name}"):
        digest.update((CHECKOUT / path).read_bytes())
    for section in stage.sections:
        digest.update(getattr(settings, section).model_dump_json().encode())
    for name in stage.inputs:
        folder = root / STAGES[name].out
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            facts = file.stat()
            digest.update(f"{file.relative_to(folder)} {facts.st_size} {facts.st_mtime_ns}".encode())
    for own in own_paths(stage.name, settings):
        if (root / own).is_file():
            with (root / own).open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
