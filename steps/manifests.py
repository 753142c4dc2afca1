"""Manifests: CSV files that list recordings, one a line, with source, licence, kind and speaker.

path      relative to the manifest, or absolute
source    where the recording comes from: a name and an address, as an attribution has them
licence   an SPDX identifier where there is one
kind      keyword:<phrase>, speech, noise, music or rir
speaker   a name that is the speaker's alone, or empty
seconds   length
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError
from steps.listing import NOT_STATED, Listed
from steps.recordings import KEYWORD

__all__ = ["KINDS", "ManifestRow", "read_manifest", "write_manifest"]

KINDS: Final = ("speech", "noise", "music", "rir")
_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """A line of a manifest; its fields are the columns.

    Attributes:
        path: of the file.
        source: name and address of where it comes from.
        licence: an SPDX identifier where there is one.
        kind: ``keyword:<phrase>``, speech, noise, music or rir.
        speaker: a name that is the speaker's alone, or empty.
        seconds: length.
    """

    path: Path
    source: str
    licence: str
    kind: str
    speaker: str
    seconds: float


_COLUMNS: Final = tuple(field.name for field in fields(ManifestRow))


def read_manifest(manifest: Path) -> list[Listed]:
    """What a manifest lists; nothing of it is opened.

    Args:
        manifest: the CSV file.

    Raises:
        ConfigError: it is missing, is no table, lacks columns, or has wrong rows; the first of them are named.
    """
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            rows = [dict(row) for row in reader]
            columns = reader.fieldnames or ()
    except FileNotFoundError:
        raise ConfigError(
            f"corpus.real: no file {manifest}",
            hint=f"Give the path of a CSV file with the columns {', '.join(_COLUMNS)}, or null",
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"corpus.real: {manifest} is no CSV file ({' '.join(str(error).split())})") from None
    missing = [column for column in _COLUMNS if column not in columns]
    if missing:
        raise ConfigError(
            f"{manifest}: columns {', '.join(missing)} are missing",
            got=", ".join(columns) or "an empty file",
            expected=", ".join(_COLUMNS),
        )
    problems = []
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            problems.append(f"row {number}: not {len(columns)} fields")
        elif not (row["kind"] in KINDS or (row["kind"].startswith(KEYWORD) and row["kind"] != KEYWORD)):
            problems.append(f"row {number}: kind {row['kind']!r}")
    if problems:
        raise ConfigError(
            f"{manifest}: {len(problems)} wrong rows",
            got="; ".join(problems[:_NAMED]),
            expected=f"kinds {', '.join(KINDS)} or {KEYWORD}<phrase>",
        )
    return [_listed(row, folder=manifest.parent) for row in rows]


def _listed(row: dict[str, str], *, folder: Path) -> Listed:
    facts = {column: row[column].strip() for column in _COLUMNS}
    speaker = facts["speaker"].casefold()
    return Listed(
        path=(folder / row["path"]).resolve(),
        name=row["path"],
        kind=facts["kind"],
        rule="real",
        group=f"speaker {speaker}" if speaker else "",
        speaker=facts["speaker"],
        source=facts["source"] or NOT_STATED,
        licence=facts["licence"] or NOT_STATED,
    )


def write_manifest(rows: Iterable[ManifestRow], manifest: Path) -> int:
    """Write a manifest, and put it in place when it is whole.

    Args:
        rows: of it; paths below the manifest's folder become relative, so that both can be moved together.
        manifest: the CSV file; one that is there is replaced.

    Returns:
        The number of rows.
    """
    folder = manifest.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    beside = manifest.with_name(f".{manifest.name}.writing")
    count = 0
    try:
        with beside.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            for row in rows:
                path = Path(os.path.abspath(row.path))  # noqa: PTH100  # not resolve(): links stay what they are
                shown = path.relative_to(folder) if path.is_relative_to(folder) else path
                writer.writerow({**asdict(row), "path": shown.as_posix(), "seconds": f"{row.seconds:.3f}"})
                count += 1
        beside.replace(manifest)
    finally:
        beside.unlink(missing_ok=True)
    return count
