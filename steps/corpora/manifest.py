"""A corpus of your own that has a manifest already: it is checked, and its recordings are measured.

The manifest is ``manifest.csv`` in the folder, with the columns path, source, licence, kind, speaker, seconds; see
`steps.manifests`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus
from steps.listing import NOT_STATED
from steps.manifests import KINDS, read_manifest

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="a folder with a manifest",
    url="a folder of yours",
    licence=NOT_STATED,
    kinds=("keyword", *KINDS),
    hours=0.0,
    speakers=None,
    to_do="Write a manifest.csv with the columns path, source, licence, kind, speaker, seconds into it",
)


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """What the manifest lists.

    Args:
        folder: with ``manifest.csv`` in it, or that file itself.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    manifest = folder / "manifest.csv" if folder.is_dir() else folder
    if not manifest.is_file():
        raise no_corpus(folder, FACTS, expected="manifest.csv in it")
    for listed in read_manifest(manifest):
        yield CorpusFile(
            path=listed.path, kind=listed.kind, source=listed.source, licence=listed.licence, speaker=listed.speaker
        )
