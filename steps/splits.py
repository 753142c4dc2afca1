"""Recordings shared out to training, calibration and test so that no voice and no sound is in two of them.

Groups are never torn apart: all of one speaker where speakers are known, recordings with equal samples, and whatever
those two join. A group goes where one of its members has to be, training before calibration before test, so that what
is evaluated was never trained on; else to the split that lacks most of its kind.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from steps.listing import Listed, Rule
from steps.recordings import RealSplit

__all__ = ["Sound", "assign_splits"]

_SPLITS: Final[tuple[RealSplit, ...]] = ("train", "calibration", "test")
# Groups above this share of their kind are placed first, while every split still has room for them.
_LARGE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A recording that can be read.

    Attributes:
        listed: what is said of it.
        seconds: length, as decoded.
        digest: hash of its samples.
    """

    listed: Listed
    seconds: float
    digest: str


def assign_splits(sounds: Sequence[Sound], *, shares: Mapping[Rule, Mapping[str, float]], seed: int) -> list[RealSplit]:
    """A split for each recording.

    Groups go, in the order of a keyed hash, to the split that lacks most of their kind: so the shares hold for each
    kind of recording as well as the groups allow, however few they are, and whatever order they are in.

    Args:
        sounds: all recordings.
        shares: of each rule but ``train``; those of one rule add up to 1.
        seed: of the order.
    """
    names = _groups(sounds)
    members: defaultdict[str, list[Sound]] = defaultdict(list)
    for sound, name in zip(sounds, names, strict=True):
        members[name].append(sound)
    totals = _seconds(sounds)
    lacking = {
        (rule, kind): {split: share * total for split, share in shares.get(rule, {"train": 1.0}).items() if share > 0.0}
        for (rule, kind), total in totals.items()
    }

    def order(name: str) -> tuple[bool, bool, bytes]:
        large = any(seconds > _LARGE * totals[part] for part, seconds in _seconds(members[name]).items())
        return _decided(members[name]) is None, not large, hashlib.sha256(f"{seed} {name}".encode()).digest()

    split_of: dict[str, RealSplit] = {}
    for name in sorted(members, key=order):
        parts = _seconds(members[name])
        wanted = lacking[max(parts, key=lambda part: parts[part])]
        split = _decided(members[name]) or cast(RealSplit, max(wanted, key=lambda split: wanted[split]))
        for part, seconds in parts.items():
            if split in lacking[part]:
                lacking[part][split] -= seconds
        split_of[name] = split
    return [split_of[name] for name in names]


def _seconds(sounds: Iterable[Sound]) -> dict[tuple[Rule, str], float]:
    """Seconds by rule and kind."""
    seconds: defaultdict[tuple[Rule, str], float] = defaultdict(float)
    for sound in sounds:
        seconds[sound.listed.rule, sound.listed.kind] += sound.seconds
    return dict(seconds)


def _decided(group: Iterable[Sound]) -> RealSplit | None:
    """The split where a group has to be."""
    fixed = {"train" if sound.listed.rule == "train" else sound.listed.split for sound in group}
    return next((split for split in _SPLITS if split in fixed), None)


def _groups(sounds: Iterable[Sound]) -> list[str]:
    """Name of each recording's group."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    sounds = list(sounds)
    for sound in sounds:
        same = root(f"sound {sound.digest}")
        low, high = sorted((same, root(sound.listed.group) if sound.listed.group else same))
        parent[high] = low
    return [root(f"sound {sound.digest}") for sound in sounds]
