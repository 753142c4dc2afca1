"""LibriSpeech: read English from audio books of LibriVox.

982 hours by 2,484 readers, 16 kHz FLAC, in parts of 5 to 500 hours: dev and test (each clean and other, 5 hours each),
train-clean-100, train-clean-360, train-other-500. CC BY 4.0: name LibriSpeech and its authors.

    LibriSpeech/SPEAKERS.TXT                                ID | SEX | SUBSET | MINUTES | NAME
    LibriSpeech/PART/READER/CHAPTER/READER-CHAPTER-NNNN.flac
    LibriSpeech/PART/READER/CHAPTER/READER-CHAPTER.trans.txt

V. Panayotov, G. Chen, D. Povey, S. Khudanpur, LibriSpeech: an ASR corpus based on public domain audio books, ICASSP
2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="LibriSpeech, V. Panayotov and others",
    url="https://www.openslr.org/12",
    licence="CC-BY-4.0",
    kinds=("speech",),
    hours=982.0,
    speakers=2484,
    to_do="Download one or more parts from https://www.openslr.org/12 and unpack them: tar -xzf dev-clean.tar.gz",
)


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """Its files, with reader and text.

    Args:
        folder: ``LibriSpeech``, the folder around it, or one of its parts.

    Raises:
        ConfigError: it is something else.
    """
    texts = sorted(folder.rglob("*.trans.txt"))
    if not texts:
        raise no_corpus(folder, FACTS, expected="files such as dev-clean/84/121123/84-121123.trans.txt in it")
    for text in texts:
        for line in text.read_text(encoding="utf-8").splitlines():
            name, _, words = line.partition(" ")
            yield CorpusFile(
                path=text.with_name(f"{name}.flac"),
                kind="speech",
                source=FACTS.source,
                licence=FACTS.licence,
                speaker=f"librispeech {name.partition('-')[0]}",
                text=words,
            )
