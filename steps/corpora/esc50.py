"""ESC-50: sounds of the surroundings in 50 classes, from Freesound.

2.8 hours, 2,000 clips of 5 s, 44.1 kHz WAV. CC BY-NC 3.0: not for commercial use. Its part ESC-10, 400 clips, is under
CC BY 3.0; ``esc50.csv`` says which they are, and the Freesound number of each clip.

    ESC-50-master/meta/esc50.csv    filename, fold, target, category, esc10, src_file, take
    ESC-50-master/audio/*.wav       FOLD-FREESOUND-TAKE-TARGET.wav

People are heard in some classes (crying, sneezing, coughing, laughing, snoring), but no words.

K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="ESC-50, K. J. Piczak",
    url="https://github.com/karolpiczak/ESC-50",
    licence="CC-BY-NC-3.0",
    kinds=("noise",),
    hours=2.8,
    speakers=0,
    to_do="Download https://github.com/karolpiczak/ESC-50/archive/master.zip (600 MB) and unpack it",
)

_ESC10_LICENCE: Final = "CC-BY-3.0"


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """Its files, those of ESC-10 with their freer licence.

    Args:
        folder: ``ESC-50-master``, or the folder around it.

    Raises:
        ConfigError: it is something else.
    """
    tables = sorted(folder.rglob("esc50.csv"))
    if not tables:
        raise no_corpus(folder, FACTS, expected="meta/esc50.csv and audio in it")
    with tables[0].open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield CorpusFile(
                path=tables[0].parent.parent / "audio" / row["filename"],
                kind="noise",
                source=f"{FACTS.source}: {row['category']}, https://freesound.org/s/{row['src_file']}",
                licence=_ESC10_LICENCE if row["esc10"] == "True" else FACTS.licence,
            )
