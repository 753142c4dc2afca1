"""``python -m steps manifest NAME FOLDER``: a manifest of a public corpus, from the folder that you downloaded."""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError
from steps.corpora.corpus import CorpusFile
from steps.corpora.table import CORPORA, load_corpus
from steps.manifests import ManifestRow, write_manifest

__all__ = ["Counted", "add_arguments", "manifest_rows", "run"]

_NAMED: Final = 5
_WORDS: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(kw_only=True)
class Counted:
    """What became of the files.

    Attributes:
        seconds: by kind.
        licences: those that were met.
        left_out: names and reasons.
        spoken: how many hold a phrase that nobody wants in them.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    licences: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    spoken: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    corpora = "\n".join(f"  {name:13} {_describe(name)}" for name in CORPORA)
    parser.description = (
        "Write a manifest of a corpus for corpus.real: source, licence, kind and speaker of each recording come from\n"
        "the corpus' own files. Nothing is downloaded or changed."
    )
    parser.epilog = f"corpora:\n{corpora}"
    parser.add_argument("name", metavar="NAME", choices=list(CORPORA), help="of the corpus, see below")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where you unpacked it")
    parser.add_argument(
        "-o", "--output", metavar="CSV", type=Path, default=Path("manifest.csv"), help="file to write (manifest.csv)"
    )
    parser.add_argument(
        "--without",
        metavar="PHRASE",
        action="append",
        default=[],
        help="leave out recordings whose text holds this phrase, so that it counts as no false accept; repeatable",
    )


def run(options: argparse.Namespace) -> None:
    """Write the manifest and tell what is in it."""
    counted = Counted()
    files = load_corpus(options.name).prepare(options.folder)
    count = write_manifest(manifest_rows(files, without=options.without, counted=counted), options.output)
    if not count:
        options.output.unlink()
        raise ConfigError(f"no recording in {options.folder} can be read", got="; ".join(counted.left_out[:_NAMED]))
    hours = ", ".join(f"{seconds / 3600.0:.2f} h {kind}" for kind, seconds in sorted(counted.seconds.items()))
    print(f"{options.output}: {count} recordings, {hours}; {', '.join(sorted(counted.licences))}")
    if counted.spoken:
        print(f"{counted.spoken} left out that hold {' or '.join(map(repr, options.without))}")
    if counted.left_out:
        more = f" and {len(counted.left_out) - _NAMED} more" if len(counted.left_out) > _NAMED else ""
        sys.stderr.write(f"left out {len(counted.left_out)}: {'; '.join(counted.left_out[:_NAMED])}{more}\n")


def manifest_rows(
    files: Iterable[CorpusFile], *, without: Sequence[str] = (), counted: Counted
) -> Iterator[ManifestRow]:
    """Rows of the files that can be read and are wanted.

    Args:
        files: of a corpus.
        without: phrases that must not be said in them, as far as their texts tell.
        counted: is told what becomes of them.
    """
    unwanted = [_words(phrase) for phrase in without]
    for file in files:
        if any(phrase in _words(file.text) for phrase in unwanted):
            counted.spoken += 1
            continue
        seconds, problem = _measure(file)
        if problem:
            counted.left_out.append(f"{file.path} ({problem})")
            continue
        counted.seconds[file.kind] += seconds
        counted.licences.add(file.licence)
        yield ManifestRow(
            path=file.path,
            source=file.source,
            licence=file.licence,
            kind=file.kind,
            speaker=file.speaker,
            seconds=seconds,
        )


def _measure(file: CorpusFile) -> tuple[float, str]:
    """Length of a file, or what is wrong with it; only its header is read."""
    import soundfile

    if not file.path.is_file():
        return 0.0, "no such file"
    if file.seconds is not None:
        return file.seconds, ""
    try:
        info = soundfile.info(str(file.path))
    except (soundfile.SoundFileError, OSError) as error:
        return 0.0, " ".join(str(error).split())
    return (info.frames / info.samplerate, "") if info.frames else (0.0, "no samples")


def _words(text: str) -> str:
    """Its words, each between spaces, without marks and case."""
    return f" {' '.join(_WORDS.findall(text.casefold()))} "


def _describe(name: str) -> str:
    facts = load_corpus(name).FACTS
    size = f"{facts.hours:g} h, " if facts.hours else ""
    return f"{facts.title}: {size}{'/'.join(facts.kinds)}, {facts.licence}"
