"""MIT Acoustical Reverberation Scene Statistics Survey: how the places sound in which people spend their days.

271 impulse responses of rooms, streets and cars, 0.1 hours, 32 kHz WAV, measured at 1.5 m; of one, the file is missing.
No licence is known to us: ask its authors before you give away what was made with it.

    Audio/hNNN_PLACE_NNtxts.wav

J. Traer, J. H. McDermott, Statistics of natural reverberation enable perceptual separation of sound and space, PNAS
2016.  https://pmc.ncbi.nlm.nih.gov/articles/PMC5137703
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus, sound_files
from steps.listing import NOT_STATED

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="MIT Acoustical Reverberation Scene Statistics Survey, J. Traer and J. H. McDermott",
    url="https://mcdermottlab.mit.edu/Reverb/IR_Survey.html",
    licence=NOT_STATED,
    kinds=("rir",),
    hours=0.1,
    speakers=0,
    to_do="Download the audio from https://mcdermottlab.mit.edu/Reverb/IR_Survey.html and unpack it",
)

_NAME: Final = re.compile(r"h\d{3}_.+_\d+txts", re.IGNORECASE)


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """Its impulse responses.

    Args:
        folder: ``Audio``, or the folder around it.

    Raises:
        ConfigError: it is something else.
    """
    files = [path for path in sound_files(folder) if _NAME.fullmatch(path.stem)]
    if not files:
        raise no_corpus(folder, FACTS, expected="files such as h001_Bedroom_65txts.wav in it")
    for path in files:
        yield CorpusFile(path=path, kind="rir", source=FACTS.source, licence=FACTS.licence)
