"""Stage corpus: the user's real recordings, checked, counted and split.

They come from manifests (``corpus.real``, see `steps.manifests`) and from folders of the owner's (``corpus.*_path``,
``corpus.*_paths``, see `steps.folders`), any number of both, and from here on there is no difference. Every file is
decoded once; what cannot be read is named and left out.

Recordings go to the splits in groups that are never torn apart, see `steps.splits`: no voice and no sound is in two.
Recordings without a header are copied into FLAC files, so that whoever comes later can read them.

    recordings.jsonl   one `Recording` per line, in the order in which they were listed
    summary.json       hours by kind and split, licences and sources, what was left out, equal recordings, warnings
    attribution.md     every source that is trained on, by licence
    converted/         copies of recordings without a header, named by their samples
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError
from steps.corpus_summary import summarise
from steps.folders import find_in_folders
from steps.listing import Listed
from steps.manifests import read_manifest
from steps.provenance import format_attribution
from steps.recordings import Recording
from steps.settings import RawAudio
from steps.sound_check import RAW_SUFFIXES, check_sound, convert_raw
from steps.splits import Sound, assign_splits
from steps.stage import Context

__all__ = ["run"]

_READERS: Final = 2
_NAMED: Final = 5


def run(context: Context) -> None:
    """Find the recordings, check the files, split them."""
    settings = context.settings.corpus
    phrase = context.settings.wakeword.phrase
    found = find_in_folders(settings, root=context.root, phrase=phrase)
    manifests = [(context.root / path).resolve() for path in settings.real]
    listed = [*(row for manifest in manifests for row in read_manifest(manifest)), *found.recordings]
    _refuse_doubles(listed)
    sounds: list[Sound] = []
    left_out = [{"path": name, "problem": "a format that cannot be read; convert it"} for name in found.left_out]
    with ThreadPoolExecutor(_READERS) as pool:
        for number, (item, checked) in enumerate(
            zip(listed, pool.map(lambda item: check_sound(item, raw=settings.raw), listed), strict=True), start=1
        ):
            if isinstance(checked, Sound):
                sounds.append(checked)
            else:
                left_out.append({"path": item.name, "problem": checked})
            context.progress.update(number, len(listed), unit="recordings")
    if left_out:
        named = ", ".join(f"{item['path']} ({item['problem']})" for item in left_out[:_NAMED])
        more = f" and {len(left_out) - _NAMED} more, see summary.json" if len(left_out) > _NAMED else ""
        total = len(listed) + len(found.left_out)
        context.progress.say(f"left out {len(left_out)} of {total} recordings: {named}{more}")
    if settings.paths and not sounds and not found.unconfirmed:
        where = ", ".join(settings.paths)
        raise ConfigError(f"{where} lists no recording that can be read", hint="Check the paths")

    splits = assign_splits(
        sounds,
        shares={"real": settings.split.model_dump(), "own": settings.own_split.model_dump()},
        seed=context.settings.seed,
    )
    recordings = [
        Recording(
            path=_readable(sound, folder=context.out, raw=settings.raw),
            kind=sound.listed.kind,
            split=split,
            speaker=sound.listed.speaker,
            source=sound.listed.source,
            licence=sound.listed.licence,
            seconds=round(sound.seconds, 3),
        )
        for sound, split in zip(sounds, splits, strict=True)
    ]
    lines = "".join(json.dumps(asdict(recording), ensure_ascii=False) + "\n" for recording in recordings)
    (context.out / "recordings.jsonl").write_text(lines, encoding="utf-8")
    (context.out / "attribution.md").write_text(format_attribution(recordings), encoding="utf-8")
    summary = summarise(recordings, sounds, found=found, phrase=phrase) | {"left_out": left_out}
    (context.out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")
    for warning in summary["warnings"]:
        context.progress.say(warning)


def _refuse_doubles(listed: Iterable[Listed]) -> None:
    """A file of the owner's is listed once: it cannot be of the phrase and not of it."""
    by_path: defaultdict[Path, list[Listed]] = defaultdict(list)
    for item in listed:
        by_path[item.path].append(item)
    double = [items for items in by_path.values() if len(items) > 1 and any(item.rule != "real" for item in items)]
    if double:
        raise ConfigError(
            f"{len(double)} recordings are in two places of the section corpus",
            got=" and ".join(item.name for item in double[0]),
            expected="each in one manifest or folder",
        )


def _readable(sound: Sound, *, folder: Path, raw: RawAudio) -> str:
    """Path that can be opened as it is: absolute, or in the stage's folder."""
    path = sound.listed.path
    if path.suffix.lower() not in RAW_SUFFIXES:
        return str(path)
    copy = Path("converted", f"{sound.digest[:16]}.flac")
    (folder / copy).parent.mkdir(exist_ok=True)
    if not (folder / copy).exists():
        convert_raw(path, folder / copy, raw=raw)
    return copy.as_posix()
