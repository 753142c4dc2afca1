"""Figures from scores: operating points and the DET curve. Pure functions of what was scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.evaluation.false_accepts import FalseAccepts
from nanowakeword.evaluation.limits import CONFIDENCE, Rate, per_hour, poisson_limits, share
from nanowakeword.evaluation.report import CurvePoint, OperatingPoint

__all__ = ["det_curve", "miss_rate", "point_at", "point_for_budget", "threshold_for_budget"]

_CURVE_POINTS: Final = 60
_CURVE_TOP_FA_PER_HOUR: Final = 60.0


def miss_rate(peaks: Floats, threshold: float | None) -> Rate:
    """Share of clips whose highest score, one of ``peaks`` ``[n]``, stays below a threshold; None accepts nothing."""
    missed = len(peaks) if threshold is None else int((peaks.astype(np.float64) < threshold).sum())
    return share(missed, len(peaks))


def threshold_for_budget(false_accepts: FalseAccepts, fa_per_hour: float) -> float | None:
    """Lowest threshold whose false accepts, on these negatives, stay within a budget; None if even 1 accepts more."""
    return false_accepts.lowest_threshold(_allowed(false_accepts, fa_per_hour))


def point_for_budget(false_accepts: FalseAccepts, peaks: Mapping[str, Floats], *, fa_per_hour: float) -> OperatingPoint:
    """The model at the lowest threshold within a budget.

    Args:
        false_accepts: on negatives; the threshold is chosen on them and measured on them.
        peaks: highest score of each clip, ``[n]``, by condition.
        fa_per_hour: false accepts per hour to stay within.
    """
    threshold = threshold_for_budget(false_accepts, fa_per_hour)
    note = None
    if threshold is None:
        note = "even a threshold of 1 accepts more"
    elif not _allowed(false_accepts, fa_per_hour):
        # One-sided, as only an upper limit is told.
        most = poisson_limits(0, confidence=2 * CONFIDENCE - 1)[1] / false_accepts.hours
        note = (
            f"{false_accepts.hours:.2g} h are too few to show this budget; that none was accepted shows only, "
            f"with a confidence of {CONFIDENCE:.0%}, fewer than {most:.2g} per hour"
        )
    name = f"{fa_per_hour:g} per hour"
    return _point(false_accepts, peaks, name=name, threshold=threshold, budget=fa_per_hour, note=note)


def point_at(
    false_accepts: FalseAccepts, peaks: Mapping[str, Floats], *, threshold: float, name: str
) -> OperatingPoint:
    """The model at a given threshold.

    Args:
        false_accepts: on negatives.
        peaks: highest score of each clip, ``[n]``, by condition.
        threshold: above 0 and at most 1.
        name: what reports call it.
    """
    return _point(false_accepts, peaks, name=name, threshold=threshold, budget=None, note=None)


def det_curve(false_accepts: FalseAccepts, peaks: Mapping[str, Floats]) -> tuple[CurvePoint, ...]:
    """Misses against false accepts, from none to one a minute, spaced evenly on a logarithmic scale."""
    most = max(1, int(_CURVE_TOP_FA_PER_HOUR * false_accepts.hours))
    counts = [0, *np.unique(np.rint(np.geomspace(1, most, _CURVE_POINTS)).astype(int)).tolist()]
    points: dict[float, CurvePoint] = {}
    for count in counts:
        threshold = false_accepts.lowest_threshold(count)
        if threshold is not None and threshold not in points:
            points[threshold] = CurvePoint(
                threshold=threshold,
                fa_per_hour=false_accepts.count(threshold) / false_accepts.hours,
                miss_rate={name: miss_rate(values, threshold).rate for name, values in peaks.items()},
            )
    return tuple(points.values())


def _allowed(false_accepts: FalseAccepts, fa_per_hour: float) -> int:
    return int(fa_per_hour * false_accepts.hours + 1e-9)


def _point(
    false_accepts: FalseAccepts,
    peaks: Mapping[str, Floats],
    *,
    name: str,
    threshold: float | None,
    budget: float | None,
    note: str | None,
) -> OperatingPoint:
    accepted = false_accepts.count(1.0 if threshold is None else threshold)
    return OperatingPoint(
        name=name,
        budget_fa_per_hour=budget,
        threshold=threshold,
        false_accepts=per_hour(accepted, false_accepts.hours),
        misses={name: miss_rate(values, threshold) for name, values in peaks.items()},
        note=note,
    )
