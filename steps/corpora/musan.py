"""MUSAN: music, speech and noise, to train models that have to tell them apart or to bear them.

109 hours, 16 kHz WAV: 42 of music, 60 of speech in 12 languages (LibriVox, and hearings of US authorities), 6 of noise
(Freesound, Sound Bible). The collection is under CC BY 4.0; each file has a licence of its own, public domain or
Creative Commons, which a LICENSE beside it names.

    musan/{music,noise,speech}/SOURCE/KIND-SOURCE-NNNN.wav
    musan/{music,noise,speech}/SOURCE/{LICENSE,ANNOTATIONS,README}

Speakers are not named, and some speak in more than one file. Music may be sung.

D. Snyder, G. Chen, D. Povey, MUSAN: a music, speech, and noise corpus.  https://arxiv.org/abs/1510.08484
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus, sound_files

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="MUSAN, D. Snyder and others",
    url="https://www.openslr.org/17",
    licence="CC-BY-4.0",
    kinds=("music", "noise", "speech"),
    hours=109.0,
    speakers=None,
    to_do="Download https://www.openslr.org/resources/17/musan.tar.gz (11 GB) and unpack it: tar -xzf musan.tar.gz",
)

_STEM: Final = re.compile(r"\b((?:music|noise|speech)-[a-z-]+-\d{4})\b")
_PUBLIC: Final = re.compile(r"public domain|CC0|us government", re.IGNORECASE)
_COMMONS: Final = re.compile(
    r"(?:CC[ -]|creativecommons\.org/licenses/)(by(?:-nc)?(?:-sa|-nd)?)[ /-]*(\d\.\d)?", re.IGNORECASE
)


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """Its files, with the licence that is told of each.

    Args:
        folder: ``musan``, the folder around it, or one of its parts.

    Raises:
        ConfigError: it is something else.
    """
    files = [path for path in sound_files(folder) if _STEM.fullmatch(path.stem)]
    if not files:
        raise no_corpus(folder, FACTS, expected="files such as noise/free-sound/noise-free-sound-0000.wav in it")
    licences: dict[Path, dict[str, str]] = {}
    for path in files:
        told = licences.setdefault(path.parent, _licences(path.parent / "LICENSE"))
        yield CorpusFile(
            path=path,
            kind=path.stem.partition("-")[0],
            source=f"{FACTS.source}: {path.stem}",
            licence=told.get(path.stem, FACTS.licence),
        )


def _licences(path: Path) -> dict[str, str]:
    """Licence of each file that the text names, from what follows its name."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    # Names, and what stands between them.
    _, *parts = _STEM.split(text)
    told = zip(parts[::2], map(_licence, parts[1::2]), strict=True)
    return {stem: licence for stem, licence in told if licence}


def _licence(text: str) -> str:
    if (commons := _COMMONS.search(text)) is not None:
        version = f"-{commons[2]}" if commons[2] else ""
        return f"CC-{commons[1].upper()}{version}"
    return "Public domain" if _PUBLIC.search(text) else ""
