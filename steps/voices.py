"""Which split a voice belongs to: for good, whatever other engines are there, so that no voice is in two.

Whoever has one voice trains with it; whoever has nine is in every split.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, TypeVar, get_args

import numpy as np

from steps.clippack import Split
from steps.tts.engine import Engine, Voice

__all__ = ["SPLITS", "deal", "seed_of", "split_voices"]

Item = TypeVar("Item")

SPLITS: Final[tuple[Split, ...]] = get_args(Split)
_DEAL: Final[tuple[Split, ...]] = (
    *("train", "train", "validation", "train", "train"),
    *("calibration", "train", "train", "test", "train"),
)


def split_voices(engine: Engine, *, language: str, seed: int) -> dict[Split, list[Voice]]:
    """Voices of an engine by split: families stay together, groups are spread, some have a home."""
    rng = np.random.default_rng([seed, seed_of(engine.name)])
    groups: dict[str, dict[str, list[Voice]]] = {}
    homes: dict[Split, list[Voice]] = {split: [] for split in SPLITS}
    for voice in engine.voices(language):
        if voice.home is None:
            groups.setdefault(voice.group, {}).setdefault(voice.family, []).append(voice)
        else:
            homes[voice.home].append(voice)
    families = [
        families[i]
        for group in groups.values()
        for families in [list(group.values())]
        for i in rng.permutation(len(group))
    ]
    return {
        split: [*homes[split], *(voice for family in part for voice in family)]
        for split, part in zip(SPLITS, deal(families), strict=True)
    }


def deal(items: Sequence[Item], *, order: Sequence[Split] = _DEAL) -> list[list[Item]]:
    """Items dealt out to the splits, in the order of `SPLITS`; ``order`` says whose turn it is."""
    return [[item for i, item in enumerate(items) if order[i % len(order)] == split] for split in SPLITS]


def seed_of(name: str) -> int:
    """A seed from a name, the same in every process."""
    return zlib.crc32(name.encode())
