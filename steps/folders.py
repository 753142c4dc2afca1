"""Folders of the owner's recordings: what is in them, of whom, and how it may be used.

    positive_data_path   the phrase; shared out by corpus.own_split. The first sub-folder on the way to a file is the
                         speaker; a ``takes.jsonl`` beside a file has the last word on its phrase and its split
    negative_data_path   speech without it; shared out likewise
    background_paths     noise and music, for training only
    rir_paths            room responses, for training only
    misses_path          what ``nanowakeword listen --record-misses`` kept, for training only, for it is what some model
                         found hard. A person has to listen: only what lies in the sub-folder ``yes`` counts as the
                         phrase, and in ``no`` as speech without it; nothing else is used

Nothing in a folder is ever changed, and links to files are followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError
from nanowakeword.recording_store import INDEX as MISSES
from nanowakeword.takes import INDEX as TAKES
from nanowakeword.takes import Take, read_takes
from steps.listing import NOT_STATED, Listed, Rule
from steps.recordings import KEYWORD
from steps.settings import Corpus
from steps.sound_check import RAW_SUFFIXES

__all__ = ["Found", "find_in_folders"]

# Not sound, and no surprise.
_INDEXES: Final = (TAKES, MISSES)
_AUDIO: Final = RAW_SUFFIXES | {
    *(".wav", ".flac", ".ogg", ".opus", ".oga", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"),
}
# Sound that libsndfile does not decode: named as left out rather than passed over.
_FOREIGN_AUDIO: Final = frozenset(
    {".m4a", ".aac", ".mp4", ".wma", ".amr", ".3gp", ".webm", ".mka", ".ape", ".wv", ".g722", ".sph"}
)
_CONFIRMED: Final = {"yes": True, "no": False}


@dataclass(kw_only=True)
class Found:
    """What the folders hold.

    Attributes:
        recordings: to be opened.
        left_out: names of sound files of formats that cannot be read.
        other_files: files that are no sound, counted by their ending.
        unconfirmed: recordings of misses that nobody has listened to.
    """

    recordings: list[Listed] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    other_files: Counter[str] = field(default_factory=Counter)
    unconfirmed: int = 0


@dataclass(frozen=True, kw_only=True)
class _File:
    """A sound file.

    Attributes:
        folder: that holds it, as the settings name it.
        path: of the file.
        inside: its path in the folder.
    """

    folder: str
    path: Path
    inside: Path

    @property
    def above(self) -> str:
        """The first sub-folder on the way to it, or empty."""
        return self.inside.parts[0] if len(self.inside.parts) > 1 else ""


def find_in_folders(settings: Corpus, *, root: Path, phrase: str) -> Found:
    """List the recordings of all folders; nothing is opened but ``takes.jsonl``.

    Args:
        settings: section ``corpus``.
        root: folder that relative paths start from.
        phrase: of the model.

    Raises:
        ConfigError: a folder is missing or holds no sound, or an index is damaged.
    """
    found = Found()
    keyword = f"{KEYWORD}{phrase}"
    kinds: dict[str, tuple[str, Rule]] = {
        "positive_data_path": (keyword, "own"),
        "negative_data_path": ("speech", "own"),
        "background_paths": ("noise", "train"),
        "rir_paths": ("rir", "train"),
    }
    n_splits = sum(share > 0.0 for share in settings.own_split.model_dump().values())
    for setting, (kind, rule) in kinds.items():
        files = _files(setting, getattr(settings, setting), root=root, found=found)
        listed = [_listed(file, kind=kind, rule=rule) for file in files]
        if setting == "positive_data_path":
            listed = _as_takes_say(listed, files)
        found.recordings += _by_speaker(listed, setting=setting, at_least=n_splits) if rule == "own" else listed
    for file in _files("misses_path", settings.misses_path, root=root, found=found):
        confirmed = _CONFIRMED.get(file.above.lower())
        if confirmed is None:
            found.unconfirmed += 1
        else:
            found.recordings.append(_listed(file, kind=keyword if confirmed else "speech", rule="train"))
    return found


def _files(setting: str, folders: Sequence[str], *, root: Path, found: Found) -> list[_File]:
    """Sound files of the folders of one setting, in order of their paths."""
    files = []
    for name in folders:
        folder = root / name
        if not folder.is_dir():
            got = f"a file, {name}" if folder.exists() else f"no folder {name}"
            raise ConfigError(f"corpus.{setting}", got=got, expected="a folder")
        inside = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        visible = [path for path in inside if not any(part.startswith(".") for part in path.parts)]
        audio = [path for path in visible if path.suffix.lower() in _AUDIO]
        if not audio:
            raise ConfigError(
                f"corpus.{setting}: no recordings in {name}",
                expected=f"files ending in {', '.join(sorted(_AUDIO))}",
                hint="Convert others, for example with ffmpeg",
            )
        files += [_File(folder=name, path=folder / path, inside=path) for path in audio]
        for path in visible:
            if path.suffix.lower() in _FOREIGN_AUDIO:
                found.left_out.append(f"{name}/{path.as_posix()}")
            elif path not in audio and path.name not in _INDEXES:
                found.other_files[path.suffix.lower() or path.name] += 1
    return files


def _listed(file: _File, *, kind: str, rule: Rule) -> Listed:
    return Listed(
        path=file.path.resolve(),
        name=f"{file.folder}/{file.inside.as_posix()}",
        kind=kind,
        rule=rule,
        group="",
        speaker=file.above,
        source=f"the owner's folder {Path(file.folder).name}",
        licence=NOT_STATED,
    )


def _as_takes_say(listed: Iterable[Listed], files: Iterable[_File]) -> list[Listed]:
    """Phrase, session and split as ``takes.jsonl`` beside a file has them."""
    indexes: dict[Path, dict[str, Take]] = {}
    told = []
    for item, file in zip(listed, files, strict=True):
        folder = file.path.parent
        if folder not in indexes:
            indexes[folder] = {take.file: take for take in read_takes(folder)}
        if (take := indexes[folder].get(file.path.name)) is not None:
            item = replace(item, kind=f"{KEYWORD}{take.phrase}", split=take.split, session=take.session)
        told.append(item)
    return told


def _by_speaker(listed: Iterable[Listed], *, setting: str, at_least: int) -> list[Listed]:
    """The same, those of a speaker in one group; one by one where speakers are too few to have one for each split."""
    listed = list(listed)
    speakers = {item.speaker for item in listed if item.split is None}
    if len(speakers) < at_least or speakers == {""}:
        return listed
    return [item if item.split else replace(item, group=f"{setting} speaker {item.speaker}") for item in listed]
