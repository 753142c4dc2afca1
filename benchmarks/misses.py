"""Which clips of the phrase a model misses, and how that differs from what another misses, clip by clip.

Misses are those at the threshold that the budget asks for on the same split's recordings without the phrase. A few
hours of those hang a threshold for a low rate on one or two false accepts. So for comparing models there is also, of
each clip, the share of `RATES_FA_PER_HOUR` at which it is missed: its mean is that of the DET curve at these rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.heard import SPLITS, score
from models.detector import Detector
from nanowakeword.evaluation.false_accepts import FalseAccepts
from nanowakeword.evaluation.limits import CONFIDENCE, binomial_limits, share
from nanowakeword.evaluation.measure import threshold_for_budget
from nanowakeword.evaluation.scoring import clip_peaks
from steps.settings import Settings

__all__ = ["PEOPLE", "Missed", "measure", "print_misses"]

PEOPLE: Final = ("clean", "babble")
RATES_FA_PER_HOUR: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_AVERAGED: Final = "averaged"
# Standard errors to either side, confidence 95 %.
_LIMITS: Final = 1.96

Missed = Mapping[str, Mapping[str, Sequence[float]]]  # by split and condition, of each clip in turn


def measure(detector: Detector, heard: Path, settings: Settings) -> dict[str, Any]:
    """Which clips are missed, by split and condition, at the threshold for the published budget on the same split.

    Beside them, as ``clean, averaged`` and so on, the share of `RATES_FA_PER_HOUR` at which each is missed.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for split in SPLITS:
        others = FalseAccepts(score(heard / split / "other", detector), refractory_s=settings.evaluate.refractory_s)
        least, *several = (
            2.0 if (threshold := threshold_for_budget(others, rate)) is None else threshold
            for rate in (settings.publish.budget_fa_per_hour, *RATES_FA_PER_HOUR)
        )
        found[split] = {}
        for condition in PEOPLE:
            peaks = clip_peaks(score(heard / split / condition, detector), tail_s=settings.evaluate.tail_s)
            found[split][condition] = (peaks < least).tolist()
            found[split][_averaged(condition)] = np.mean([peaks < at for at in several], axis=0).tolist()
    return found


def print_misses(
    models: Mapping[str, Mapping[int, Missed]], *, beside: str, split: str, budget: float, title: str
) -> None:
    """Misses of each model in each condition, and how they differ from those of one of them.

    First those at the published budget, in brackets exact limits, confidence 95 %. The difference is that of the clips
    that only the one misses and those that only the other does, clip by clip and seed by seed, with limits from the
    exact ones of both shares. Clips of several seeds are counted as if they were independent, which they are not: look
    at each seed's difference, too.

    Then the mean over `RATES_FA_PER_HOUR`. Limits of its difference are those of the mean over the clips, of each the
    mean over the seeds that both have. What other negatives or seeds would change is not in them.

    Args:
        models: by name, then by seed; without a seed, it is not done.
        beside: the model that the others are compared with.
        split: of the recordings.
        budget: the published one, in false accepts per hour.
        title: what the tables are of.
    """
    width, whole = 2 + max(map(len, models)), models[beside]
    rates = f"on average at {', '.join(f'{rate:g}' for rate in RATES_FA_PER_HOUR)}"
    for told, at in ((_line, f"at {budget:g}"), (_average_line, rates)):
        for condition in PEOPLE:
            print(f"\n{title}, {condition}: missed {at} false accepts per hour, %; difference to {beside}")
            for name, by_seed in models.items():
                print(f"  {name:<{width}}" + (told(by_seed, whole, split, condition) if by_seed else "not done"))


def _line(by_seed: Mapping[int, Missed], whole: Mapping[int, Missed], split: str, condition: str) -> str:
    missed = {seed: np.array(found[split][condition], bool) for seed, found in by_seed.items()}
    rate = share(int(sum(values.sum() for values in missed.values())), sum(map(len, missed.values())))
    text = f"{100 * rate.rate:5.1f} ({100 * rate.low:4.1f}-{100 * rate.high:4.1f})"
    pairs = {
        seed: (values, np.array(whole[seed][split][condition], bool))
        for seed, values in missed.items()
        if seed in whole and by_seed is not whole
    }
    if not pairs:
        return text
    more = sum(int((mine & ~theirs).sum()) for mine, theirs in pairs.values())
    fewer = sum(int((theirs & ~mine).sum()) for mine, theirs in pairs.values())
    total = sum(len(mine) for mine, _ in pairs.values())
    # Limits of both shares at once: each is wrong half as often.
    added, spared = (binomial_limits(count, total, confidence=(1.0 + CONFIDENCE) / 2.0) for count in (more, fewer))
    limits = 100 * (added[0] - spared[1]), 100 * (added[1] - spared[0])
    each = " ".join(f"{100 * (mine.mean() - theirs.mean()):+.1f}" for mine, theirs in pairs.values())
    return f"{text}  {100 * (more - fewer) / total:+5.1f} ({limits[0]:+5.1f} to {limits[1]:+5.1f})  by seed: {each}"


def _average_line(by_seed: Mapping[int, Missed], whole: Mapping[int, Missed], split: str, condition: str) -> str:
    missed = {seed: np.array(found[split].get(_averaged(condition), ())) for seed, found in by_seed.items()}
    if not all(map(len, missed.values())):
        return "not measured"
    text = f"{100 * np.mean(list(missed.values())):5.1f}"
    pairs = [
        values - np.array(whole[seed][split][_averaged(condition)])
        for seed, values in missed.items()
        if seed in whole and by_seed is not whole
    ]
    if not pairs:
        return text
    of_clips = np.mean(pairs, axis=0)
    middle, margin = of_clips.mean(), _LIMITS * of_clips.std(ddof=1) / len(of_clips) ** 0.5
    each = " ".join(f"{100 * values.mean():+.1f}" for values in pairs)
    limits = f"({100 * (middle - margin):+5.1f} to {100 * (middle + margin):+5.1f})"
    return f"{text}  {100 * middle:+5.1f} {limits}  by seed: {each}"


def _averaged(condition: str) -> str:
    return f"{condition}, {_AVERAGED}"
