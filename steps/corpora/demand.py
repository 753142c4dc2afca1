"""DEMAND: background noise of kitchens, offices, streets, cars, on 16 microphones.

18 places, 5 minutes each: 1.5 hours by one microphone, 24 by all; 48 kHz and mostly 16 kHz WAV. CC BY-SA 3.0 by its own
documentation; some copies on the net say CC BY 4.0.

    PLACE/ch01.wav ... PLACE/ch16.wav     such as DKITCHEN, or DKITCHEN_16k

The microphones stand 5 to 22 cm apart and hear the same: one is taken of each place, the first. In public places people
are heard talking, without a word that could be told.

J. Thiemann, N. Ito, E. Vincent, The Diverse Environments Multi-channel Acoustic Noise Database, ICA 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="DEMAND, J. Thiemann, N. Ito and E. Vincent",
    url="https://doi.org/10.5281/zenodo.1227120",
    licence="CC-BY-SA-3.0",
    kinds=("noise",),
    hours=1.5,
    speakers=0,
    to_do="Download places such as DKITCHEN_16k.zip from https://doi.org/10.5281/zenodo.1227120 and unpack them",
)


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """The first microphone of each place.

    Args:
        folder: of one place, or with the folders of more in it.

    Raises:
        ConfigError: it is something else.
    """
    files = sorted(folder.rglob("ch01.wav"))
    if not files:
        raise no_corpus(folder, FACTS, expected="files such as DKITCHEN/ch01.wav in it")
    for path in files:
        place = path.resolve().parent.name
        yield CorpusFile(path=path, kind="noise", source=f"{FACTS.source}: {place}", licence=FACTS.licence)
