"""What is measured on: recordings, read when they are needed and never all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.errors import AudioError

__all__ = ["LeftOut", "Recording", "find_recordings"]

_SUFFIXES: Final = frozenset({".wav", ".flac", ".ogg", ".opus", ".oga", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"})


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording.

    Attributes:
        name: how reports call it, such as its path.
        read: gives int16 ``[n]`` at 16 kHz, ``n >= 1``, or raises an `AudioError`.
    """

    name: str
    read: Callable[[], Samples]

    @classmethod
    def of_file(cls, path: Path, *, name: str | None = None) -> Recording:
        """A file of any kind that `read_audio` reads."""
        return cls(name=name or str(path), read=lambda: read_audio(path))

    @classmethod
    def of_array(cls, samples: Samples, *, name: str) -> Recording:
        """Samples in memory or in a memory map."""
        return cls(name=name, read=lambda: samples)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A recording that could not be read and is part of no figure.

    Attributes:
        name: of the recording.
        reason: one line.
    """

    name: str
    reason: str


def find_recordings(folder: Path) -> list[Recording]:
    """Audio files in a folder and its subfolders, by their names' endings, in order of their paths.

    Raises:
        AudioError: there is no such folder, or no audio file in it.
    """
    if not folder.is_dir():
        raise AudioError(str(folder), got="a file" if folder.exists() else "nothing there", expected="a folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise AudioError(f"no recordings in {folder}", expected=f"files ending in {', '.join(sorted(_SUFFIXES))}")
    return [Recording.of_file(path, name=path.relative_to(folder).as_posix()) for path in paths]
