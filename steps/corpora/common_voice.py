"""Common Voice: sentences read by volunteers all over the world, on their own microphones.

More than 30,000 hours in more than 100 languages, MP3; in English about 2,600 validated hours. CC0 1.0. People are
known by a hash only; whoever downloads it promises not to find out who they are.

    cv-corpus-VERSION/LANGUAGE/validated.tsv        client_id, path, sentence, ...: those that two others confirmed
    cv-corpus-VERSION/LANGUAGE/clip_durations.tsv   clip, duration[ms]; in releases from 2023 on
    cv-corpus-VERSION/LANGUAGE/clips/*.mp3

R. Ardila and others, Common Voice: a massively-multilingual speech corpus, LREC 2020.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from steps.corpora.corpus import CorpusFacts, CorpusFile, no_corpus

__all__ = ["FACTS", "prepare"]

FACTS: Final = CorpusFacts(
    title="Common Voice",
    url="https://commonvoice.mozilla.org",
    licence="CC0-1.0",
    kinds=("speech",),
    hours=2600.0,
    speakers=None,
    to_do="Choose a language and a release at https://commonvoice.mozilla.org/datasets, agree, download and unpack it",
)


def prepare(folder: Path) -> Iterator[CorpusFile]:
    """Its validated files, with person, sentence and length.

    Args:
        folder: of a language, or of a release with one or more languages.

    Raises:
        ConfigError: it is something else.
    """
    tables = sorted(folder.rglob("validated.tsv"))
    if not tables:
        raise no_corpus(folder, FACTS, expected="validated.tsv and clips in it")
    for table in tables:
        lengths = _lengths(table.with_name("clip_durations.tsv"))
        release = table.resolve().parent.parent.name.removeprefix("cv-corpus-")
        language = table.resolve().parent.name
        for row in _rows(table):
            yield CorpusFile(
                path=table.parent / "clips" / row["path"],
                kind="speech",
                source=f"{FACTS.source}, {language}, release {release}",
                licence=FACTS.licence,
                speaker=f"common voice {row['client_id']}",
                text=row["sentence"],
                seconds=lengths.get(row["path"]),
            )


def _lengths(table: Path) -> dict[str, float]:
    if not table.is_file():
        return {}
    return {row["clip"]: float(row["duration[ms]"]) / 1000.0 for row in _rows(table)}


def _rows(table: Path) -> Iterator[dict[str, str]]:
    # Sentences hold quotation marks that quote nothing.
    with table.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
