"""Exact confidence limits of counts: what was seen, and what may yet be true.

Limits are central: with a confidence of 95 %, each side is wrong in at most 2.5 % of all experiments. They are found by
bisection on exact tail sums, so that numpy suffices.

    C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26 (1934).  https://doi.org/10.1093/biomet/26.4.404
    F. Garwood, Fiducial limits for the Poisson distribution, Biometrika 28 (1936).
    https://doi.org/10.1093/biomet/28.3-4.437
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "Rate", "binomial_limits", "per_hour", "poisson_limits", "share"]

CONFIDENCE: Final = 0.95
_STEPS: Final = 200  # bisection ends earlier, where floats have no value between the ends


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A rate that was measured, with exact limits.

    Attributes:
        count: events seen, such as missed clips or false accepts.
        total: what they were seen in: a number of clips, or hours.
        rate: ``count / total``.
        low: lower limit of the rate.
        high: upper limit of the rate.
    """

    count: int
    total: float
    rate: float
    low: float
    high: float


def share(count: int, total: int) -> Rate:
    """Share of ``total`` trials, with Clopper-Pearson limits; ``total >= 1``."""
    low, high = binomial_limits(count, total)
    return Rate(count=count, total=total, rate=count / total, low=low, high=high)


def per_hour(count: int, hours: float) -> Rate:
    """Events per hour, with Poisson limits; ``hours > 0``."""
    low, high = poisson_limits(count)
    return Rate(count=count, total=hours, rate=count / hours, low=low / hours, high=high / hours)


def binomial_limits(count: int, total: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper-Pearson limits of a probability, after ``count`` successes in ``total`` trials."""
    tail = (1 - confidence) / 2
    j = np.arange(count + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    log_ways = log_factorial[total] - log_factorial[j] - log_factorial[total - j]

    def at_most(successes: int, p: float) -> float:
        if p >= 1.0:
            return float(successes >= total)
        terms = log_ways + j * math.log(p) + (total - j) * math.log1p(-p)
        return _sum_exp(terms[: successes + 1])

    low = 0.0 if count == 0 else _bisect(lambda p: at_most(count - 1, p) - (1 - tail), 0.0, 1.0)
    high = 1.0 if count == total else _bisect(lambda p: at_most(count, p) - tail, 0.0, 1.0)
    return low, high


def poisson_limits(count: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Garwood's limits of a Poisson mean, after ``count`` events."""
    tail = (1 - confidence) / 2
    j = np.arange(count + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])

    def at_most(events: int, mean: float) -> float:
        return _sum_exp((j * math.log(mean) - mean - log_factorial)[: events + 1])

    top = count + 20.0 * math.sqrt(count + 1) + 50.0
    low = 0.0 if count == 0 else _bisect(lambda mean: at_most(count - 1, mean) - (1 - tail), 0.0, top)
    return low, _bisect(lambda mean: at_most(count, mean) - tail, 0.0, top)


def _sum_exp(logs: npt.NDArray[np.float64]) -> float:
    return float(np.exp(logs).sum())


def _bisect(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
