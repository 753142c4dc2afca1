"""Automatic settings: rules that derive them from what was measured, each with the reason that a person is told.

Pure functions. Their constants are those of the fixed settings that were best on the development phrases, so that about
as much data gives about the same settings; ``benchmarks/automatic.py`` compares both where there is less, and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from models.sizes import SizeName
from steps.derived import Derived

__all__ = [
    "choose_batch",
    "choose_copies",
    "choose_learning_rate",
    "choose_partial_copies",
    "choose_size",
    "choose_steps",
]

Number = TypeVar("Number", int, float)

# Windows of the phrase that a training sees: what 1,650 clips gave, twice each.
_PHRASE_WINDOWS: Final = 3_300
_COPIES: Final = (2, 40)
_PARTIALS_PER_PHRASE: Final = 0.3
_BATCH_ROWS: Final = 192
_BATCH_PHRASES: Final = 68
_POOL_EXPONENT: Final = 0.75
_ROUNDS: Final = 12.4
# On each front end, from so many windows of the phrase on.
_SIZES: Final[dict[str, list[tuple[int, SizeName]]]] = {
    "logmel": [(0, "medium")],
    "speech_embedding": [(0, "small")],
    "wakehubert": [(0, "tiny"), (800, "small")],
}
_STEPS: Final = (300, 2_000)
_STEPS_UNIT: Final = 50
_LEARNING_RATE: Final = 0.002
_LEARNING_RATES: Final = (0.0005, 0.004)


def choose_copies(n_clips: int) -> Derived[int]:
    """Windows rendered from each clip of the phrase.

    The fewer clips, the more windows of each, each with another room, noise, level and speed, until the phrase has as
    many as the default settings give it. Never more than 40 of one clip, which is what real recordings of the phrase
    were found to be worth (10 to 30 recordings in 40 copies each), nor fewer than 2: rendering is cheap.

    Args:
        n_clips: clips of the phrase to train on; at least 1.
    """
    copies = _within(_COPIES, round(_PHRASE_WINDOWS / n_clips))
    return Derived("augment.copies", copies, f"{n_clips:,} clips of the phrase make {copies * n_clips:,} windows")


def choose_partial_copies(n_partials: int, copies: int) -> int:
    """Windows rendered from each clip of a part of the phrase, where those of the phrase are derived.

    As many as of the phrase, unless they then were more than the 3 in 10 of its windows that the default settings give.

    Args:
        n_partials: clips of parts of the phrase to train on.
        copies: windows from each clip of the phrase.
    """
    return min(copies, max(1, round(_PARTIALS_PER_PHRASE * _PHRASE_WINDOWS / max(1, n_partials))))


def choose_batch(rows: Mapping[str, int], asked: Mapping[str, int | str]) -> list[Derived[int]]:
    """Rows of each pool in a batch, of those that are ``auto``.

    192 rows, 68 of them the phrase: a third or so is what the best settings of the development phrases have. Pools that
    are not the phrase share the rest by their sizes to the power 3/4, so that small ones are not lost beside large ones
    and large ones are still seen whole (so word2vec draws its negatives: Mikolov et al. 2013,
    https://arxiv.org/abs/1310.4546). An empty pool gets none.

    Args:
        rows: of each pool there are to train on.
        asked: rows of each pool in a batch as set by the user, or ``auto``.
    """
    fixed = {pool: int(count) for pool, count in asked.items() if count != "auto"}
    weights = {
        pool: float(rows.get(pool, 0)) ** _POOL_EXPONENT for pool in asked if pool not in fixed and pool != "positive"
    }
    found: list[Derived[int]] = []
    phrases = fixed.get("positive", _BATCH_PHRASES)
    if "positive" not in fixed:
        found.append(_pool("positive", phrases, f"of {_BATCH_ROWS}: about a third is the phrase"))
    left = max(0, _BATCH_ROWS - phrases - sum(count for pool, count in fixed.items() if pool != "positive"))
    for pool, weight in weights.items():
        if not weight:
            found.append(_pool(pool, 0, "there are none"))
            continue
        count = max(1, round(left * weight / sum(weights.values())))
        found.append(_pool(pool, count, f"by the size of the pool, {rows[pool]:,}, to the power {_POOL_EXPONENT:g}"))
    return found


def choose_steps(n_phrases: int, batch_phrases: int) -> Derived[int]:
    """Batches of a training.

    So many that each window of the phrase is drawn a dozen times: on the development phrases three times as many learnt
    the voices by heart, and misses on real people rose. At least 300, which did as well as 600 with 100 clips; at most
    2,000: with 6,600 clips those missed fewer of both phrases in babble than 600, and as few clean; no more were tried.

    Args:
        n_phrases: windows of the phrase to train on.
        batch_phrases: of them in a batch; at least 1.
    """
    exact = _ROUNDS * n_phrases / batch_phrases
    steps = _within(_STEPS, _STEPS_UNIT * round(exact / _STEPS_UNIT))
    return Derived(
        "train.steps", steps, f"{n_phrases:,} windows of the phrase, {batch_phrases} a batch, about {_ROUNDS:g} times"
    )


def choose_size(frontend: str, n_phrases: int) -> Derived[SizeName]:
    """Size of the network on a front end.

    What the front end has learned, the network need not: on `logmel`, which has learned nothing, medium misses far less
    than small, on the other two it learns the synthetic voices by heart. On `wakehubert`, whose frames are the widest,
    even small does with 8 clips, which make 320 windows; with 20, which make 800, tiny and small are even.

    Args:
        frontend: its name.
        n_phrases: windows of the phrase to train on.
    """
    rows = _SIZES[frontend]
    size = next(size for least, size in reversed(rows) if n_phrases >= least)
    limits = ", ".join(f"{larger} from {least:,} on" for least, larger in rows[1:])
    reason = f"{n_phrases:,} windows of the phrase; {limits}" if limits else f"missed least on {frontend}"
    return Derived(f"train.size.{frontend}", size, reason)


def choose_learning_rate(batch_rows: int) -> Derived[float]:
    """Top of the learning rate's schedule.

    0.002 for batches of 192, in proportion to the square root of the batch, which keeps the noise of Adam's steps the
    same (Malladi et al. 2022, https://arxiv.org/abs/2205.10287).

    Args:
        batch_rows: rows in a batch; at least 1.
    """
    rate = _within(_LEARNING_RATES, round(_LEARNING_RATE * (batch_rows / _BATCH_ROWS) ** 0.5, 4))
    return Derived("train.learning_rate_max", rate, f"batches of {batch_rows} rows")


def _pool(name: str, rows: int, reason: str) -> Derived[int]:
    return Derived(f"train.batch_composition.{name}", rows, reason)


def _within(limits: tuple[Number, Number], value: Number) -> Number:
    low, high = limits
    return min(max(value, low), high)
