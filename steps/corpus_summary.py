"""What a person, and the model card, should know about the real recordings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from steps.folders import Found
from steps.listing import Listed
from steps.provenance import describe_sources, licence_warnings
from steps.recordings import KEYWORD, Recording
from steps.splits import Sound

__all__ = ["summarise"]

# Below so many, a figure says little: 3 of 20 missed may be 3 to 38 % (95 %).
_FEW: Final = 20


def summarise(recordings: Sequence[Recording], sounds: Sequence[Sound], *, found: Found, phrase: str) -> dict[str, Any]:
    """Contents of ``summary.json``, ``left_out`` apart.

    Args:
        recordings: with their splits.
        sounds: what they were, in the same order.
        found: what the folders held besides.
        phrase: of the model.
    """
    hours: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for recording in recordings:
        hours[recording.kind][recording.split] += recording.seconds / 3600.0
    by_digest: defaultdict[str, list[Listed]] = defaultdict(list)
    for sound in sounds:
        by_digest[sound.digest].append(sound.listed)
    equal = [items for items in by_digest.values() if len(items) > 1]
    own = [
        (recording, sound.listed)
        for recording, sound in zip(recordings, sounds, strict=True)
        if sound.listed.rule == "own" and recording.is_of(phrase)
    ]
    of_split = Counter(recording.split for recording, _ in own)
    summary: dict[str, Any] = {
        "recordings": len(recordings),
        "hours": {kind: {split: round(value, 4) for split, value in of.items()} for kind, of in hours.items()},
        "licences": dict(sorted(Counter(recording.licence for recording in recordings).items())),
        "training_sources": describe_sources(recordings),
        "own_recordings_of_the_phrase": {split: of_split[split] for split in ("train", "calibration", "test") if own},
        "other_files": dict(found.other_files),
        "equal_recordings": [sorted(item.name for item in items) for items in equal],
        "warnings": [
            *_about_own(own),
            *_about_other_phrases(found, phrase=phrase),
            *_about_contradictions(equal),
            *_about_misses(found),
            *licence_warnings(
                [recording.licence for recording in recordings if recording.split == "train"],
                things="training recordings",
            ),
        ],
    }
    if not recordings:
        summary["note"] = "no real recordings: corpus.real is not set, and no folder is"
    return summary


def _about_own(own: Sequence[tuple[Recording, Listed]]) -> list[str]:
    """What recordings of the owner can tell."""
    trained, tested = ([listed for recording, listed in own if recording.split == split] for split in ("train", "test"))
    warnings = []
    if own and not tested:
        warnings.append(f"None of your {len(own)} recordings of the phrase is left to test on; record more.")
    elif own and len(tested) < _FEW:
        warnings.append(
            f"Of your {len(own)} recordings of the phrase {len(trained)} are trained on and {len(tested)} are left to "
            "test on: too few for a figure about you."
        )
    if trained and tested:
        voices = {listed.speaker for listed in trained} & {listed.speaker for listed in tested}
        sittings = {listed.session for listed in trained} & {listed.session for listed in tested}
        if sittings - {""}:
            warnings.append(
                "Some of your recordings to test on are of the same sitting as some that are trained on: on other days "
                "and in other places expect more misses. Record in another session."
            )
        elif voices:
            warnings.append(
                "The same people said the phrase for training and for the test: the test does not tell about strangers."
            )
    return warnings


def _about_other_phrases(found: Found, *, phrase: str) -> list[str]:
    wanted = f"{KEYWORD}{' '.join(phrase.split())}".casefold()
    others = Counter(
        listed.kind.removeprefix(KEYWORD)
        for listed in found.recordings
        if listed.kind.startswith(KEYWORD) and listed.kind.casefold() != wanted
    )
    return [
        f"{number} takes in corpus.positive_data_path are of {other!r}, not of {phrase!r}: they count as other speech."
        for other, number in sorted(others.items())
    ]


def _about_contradictions(equal: Sequence[Sequence[Listed]]) -> list[str]:
    odd = [items for items in equal if len({item.kind.casefold() for item in items}) > 1]
    if not odd:
        return []
    # Without names: this is told in cards, and the summary lists them.
    return [f"{len(odd)} recordings are listed as two kinds, see equal_recordings in corpus/summary.json: remove one."]


def _about_misses(found: Found) -> list[str]:
    if not found.unconfirmed:
        return []
    what_to_do = "listen to them, and put each into the sub-folder yes (it is the phrase) or no"
    return [f"{found.unconfirmed} recordings in corpus.misses_path are not used: {what_to_do}."]
