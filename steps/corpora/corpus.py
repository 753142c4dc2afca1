"""What every corpus offers: facts for people, and its files with what its own metadata say of them.

A corpus is a module with ``FACTS`` and ``prepare(folder)``. Nothing is downloaded: some corpora ask for a person who
agrees to their terms, all are large, and addresses change. What to do is among the facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError

__all__ = ["CorpusFacts", "CorpusFile", "no_corpus", "sound_files"]

_SUFFIXES: Final = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus"})


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A corpus.

    Attributes:
        title: its name.
        url: where it comes from.
        licence: of the whole, an SPDX identifier where there is one; files may have others.
        kinds: of recordings.
        hours: roughly.
        speakers: how many people speak; 0 where nobody does, None where nobody counted.
        to_do: what the user has to do before.
    """

    title: str
    url: str
    licence: str
    kinds: tuple[str, ...]
    hours: float
    speakers: int | None
    to_do: str

    @property
    def source(self) -> str:
        """Name and address, as an attribution has them."""
        return f"{self.title} ({self.url})"


@dataclass(frozen=True, kw_only=True)
class CorpusFile:
    """A recording, as the corpus' own metadata have it.

    Attributes:
        path: of the file.
        kind: ``keyword:<phrase>``, speech, noise, music or rir.
        source: name and address, and what names this file where the licence wants it named.
        licence: an SPDX identifier where there is one.
        speaker: a name that no other corpus has, or empty.
        text: what is said, or empty where nobody wrote it down.
        seconds: length, where the metadata tell.
    """

    path: Path
    kind: str
    source: str
    licence: str
    speaker: str = ""
    text: str = ""
    seconds: float | None = None


def sound_files(folder: Path) -> list[Path]:
    """Sound files in a folder and below, in order of their paths."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def no_corpus(folder: Path, facts: CorpusFacts, *, expected: str) -> ConfigError:
    """The error for a folder that is something else."""
    got = "other files" if folder.is_dir() else "nothing there"
    return ConfigError(f"{folder} is not {facts.title}", got=got, expected=expected, hint=facts.to_do)
