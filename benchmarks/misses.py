"""Which clips of the phrase a model misses, and how that differs from what another misses, clip by clip.

Misses are those at the threshold that the budget asks for on the same split's recordings without the phrase.
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

__all__ = ["PEOPLE", "Missed", "line", "measure"]

PEOPLE: Final = ("clean", "babble")

Missed = Mapping[str, Mapping[str, Sequence[bool]]]  # by split and condition, of each clip in turn


def measure(detector: Detector, heard: Path, settings: Settings) -> dict[str, Any]:
    """Which clips are missed, by split and condition, at the threshold for the published budget on the same split."""
    budget, found = settings.publish.budget_fa_per_hour, {}
    for split in SPLITS:
        others = FalseAccepts(score(heard / split / "other", detector), refractory_s=settings.evaluate.refractory_s)
        threshold = threshold_for_budget(others, budget)
        least = 2.0 if threshold is None else threshold
        found[split] = {
            condition: (
                clip_peaks(score(heard / split / condition, detector), tail_s=settings.evaluate.tail_s) < least
            ).tolist()
            for condition in PEOPLE
        }
    return found


def line(by_seed: Mapping[int, Missed], whole: Mapping[int, Missed], split: str, condition: str) -> str:
    """One variant in one condition."""
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
