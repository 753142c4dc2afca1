"""Stage corpus: the user's real recordings, checked, counted and split.

A manifest lists them: a CSV file with the columns path (relative to the manifest, or absolute), source, licence, kind
(``keyword:<phrase>``, speech, noise, music or rir), speaker (may be empty) and seconds. Every file is decoded once;
what cannot be read is named and left out.

Recordings go to the splits in groups that are never torn apart: all of one speaker where speakers are known, else one
recording; recordings with equal samples count as one. So no voice and no sound is in two splits.

    recordings.jsonl   one `Recording` per line, in the manifest's order
    summary.json       hours by kind and split, licences, speakers, what was left out, equal recordings
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from nanowakeword.errors import ConfigError
from steps.recordings import KEYWORD, RealSplit, Recording
from steps.stage import Context

__all__ = ["run"]

_COLUMNS: Final = ("path", "source", "licence", "kind", "speaker", "seconds")
_KINDS: Final = ("speech", "noise", "music", "rir")
_BLOCK_FRAMES: Final = 30 * 48_000
_READERS: Final = 2
_NAMED: Final = 5
# Groups above this share of their kind are placed first, while every split still has room for them.
_LARGE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the manifest, and what decoding told."""

    facts: Mapping[str, str]
    path: Path
    seconds: float
    digest: str
    problem: str


def run(context: Context) -> None:
    """Read the manifest, check the files, split them."""
    settings = context.settings.corpus
    if settings.real is None:
        _write(context.out, [], {"note": "no real recordings: corpus.real is not set"})
        return
    manifest = (context.root / settings.real).resolve()
    rows: list[_Row] = []
    facts = _read_manifest(manifest)
    with ThreadPoolExecutor(_READERS) as pool:
        for row in pool.map(lambda fields: _check(fields, folder=manifest.parent), facts):
            rows.append(row)
            context.progress.update(len(rows), len(facts), unit="recordings")
    good = [row for row in rows if not row.problem]
    bad = [{"path": row.facts["path"], "problem": row.problem} for row in rows if row.problem]
    if bad:
        named = ", ".join(f"{item['path']} ({item['problem']})" for item in bad[:_NAMED])
        more = f" and {len(bad) - _NAMED} more, see summary.json" if len(bad) > _NAMED else ""
        context.progress.say(f"left out {len(bad)} of {len(rows)} recordings: {named}{more}")
    if not good:
        raise ConfigError(f"{manifest} lists no recording that can be read", hint="Check the column path")

    groups = _groups(good)
    splits = _assign(good, groups, shares=settings.split.model_dump(), seed=context.settings.seed)
    recordings = [
        Recording(
            path=str(row.path),
            split=split,
            seconds=round(row.seconds, 3),
            **{key: row.facts[key].strip() for key in ("kind", "speaker", "source", "licence")},
        )
        for row, split in zip(good, splits, strict=True)
    ]
    equal = [sorted(str(row.facts["path"]) for row in rows) for rows in _equal(good) if len(rows) > 1]
    _write(context.out, recordings, {"manifest": str(manifest), "left_out": bad, "equal_recordings": equal})


def _read_manifest(manifest: Path) -> list[dict[str, str]]:
    """Rows of the manifest, their columns and kinds checked."""
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
    except (IsADirectoryError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"corpus.real: {manifest} is no CSV file ({_one_line(error)})") from None
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
        elif not (row["kind"] in _KINDS or (row["kind"].startswith(KEYWORD) and row["kind"] != KEYWORD)):
            problems.append(f"row {number}: kind {row['kind']!r}")
    if problems:
        raise ConfigError(
            f"{manifest}: {len(problems)} wrong rows",
            got="; ".join(problems[:_NAMED]),
            expected=f"kinds {', '.join(_KINDS)} or {KEYWORD}<phrase>",
        )
    return rows


def _check(facts: Mapping[str, str], *, folder: Path) -> _Row:
    """Decode a file whole, in blocks: its length, the hash of its samples, or what is wrong with it."""
    import soundfile

    path = (folder / facts["path"]).resolve()
    digest, frames, rate, problem = hashlib.sha256(), 0, 1, ""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            digest.update(f"{rate} {file.channels}".encode())
            while len(block := file.read(_BLOCK_FRAMES, dtype="int16")):
                digest.update(block.tobytes())
                frames += len(block)
    except (soundfile.SoundFileError, OSError) as error:
        problem = "no such file" if not path.exists() else _one_line(error)
    if not problem and frames == 0:
        problem = "no samples"
    return _Row(facts=facts, path=path, seconds=frames / rate, digest=digest.hexdigest(), problem=problem)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _equal(rows: Iterable[_Row]) -> list[list[_Row]]:
    """Recordings with equal samples, together."""
    by_digest: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        by_digest[row.digest].append(row)
    return list(by_digest.values())


def _groups(rows: list[_Row]) -> list[str]:
    """Name of each recording's group: recordings of a speaker, and equal ones, are in one group."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    for row in rows:
        speaker = row.facts["speaker"].strip().casefold()
        low, high = sorted(
            (root(f"sound {row.digest}"), root(f"speaker {speaker}" if speaker else f"sound {row.digest}"))
        )
        parent[high] = low
    return [root(f"sound {row.digest}") for row in rows]


def _assign(rows: list[_Row], groups: list[str], *, shares: Mapping[str, float], seed: int) -> list[RealSplit]:
    """A split for each recording. Groups go, in the order of a keyed hash, to the split that lacks most of their kind.

    So the shares hold for each kind of recording as well as the groups allow, however few they are.
    """
    by_group: defaultdict[str, dict[str, float]] = defaultdict(dict)  # seconds by kind
    totals: defaultdict[str, float] = defaultdict(float)
    for row, group in zip(rows, groups, strict=True):
        kind = row.facts["kind"]
        by_group[group][kind] = by_group[group].get(kind, 0.0) + row.seconds
        totals[kind] += row.seconds

    def order(group: str) -> tuple[bool, bytes]:
        large = any(seconds > _LARGE * totals[kind] for kind, seconds in by_group[group].items())
        return not large, hashlib.sha256(f"{seed} {group}".encode()).digest()

    lacking = {
        split: {kind: share * total for kind, total in totals.items()} for split, share in shares.items() if share > 0.0
    }
    split_of: dict[str, str] = {}
    for group in sorted(by_group, key=order):
        main_kind = max(by_group[group], key=lambda kind: by_group[group][kind])
        split = max(lacking, key=lambda split: lacking[split][main_kind])
        for kind, seconds in by_group[group].items():
            lacking[split][kind] -= seconds
        split_of[group] = split
    return [cast(RealSplit, split_of[group]) for group in groups]


def _write(folder: Path, recordings: list[Recording], summary: dict[str, Any]) -> None:
    """Write the stage's two files."""
    hours: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for recording in recordings:
        hours[recording.kind][recording.split] += recording.seconds / 3600.0
    summary = {
        "recordings": len(recordings),
        "hours": {kind: {split: round(value, 4) for split, value in of.items()} for kind, of in hours.items()},
        "licences": dict(sorted(Counter(recording.licence for recording in recordings).items())),
        **summary,
    }
    lines = "".join(json.dumps(asdict(recording), ensure_ascii=False) + "\n" for recording in recordings)
    (folder / "recordings.jsonl").write_text(lines, encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
