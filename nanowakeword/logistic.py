"""Logistic regression from a handful of examples in many dimensions, in numpy.

With fewer examples than dimensions, the weights are a sum of the examples, and only the examples' inner products (their
kernel) matter: a problem of a hundred unknowns instead of a thousand. It is convex; Newton's method with a step that is
halved until it helps finds its one solution, the same for the same examples.

    S. le Cessie, J. C. van Houwelingen, Ridge estimators in logistic regression, Applied Statistics 41 (1992).
    https://doi.org/10.2307/2347628
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["fit_logistic"]

Doubles = npt.NDArray[np.float64]

_STEPS: Final = 100
_HALVINGS: Final = 30
_ENOUGH: Final = 1e-10  # relative gain of a step below which there is nothing more to gain


def fit_logistic(kernel: Doubles, positive: npt.NDArray[np.bool_], weight: Doubles, *, penalty: float) -> Doubles:
    """Fit ``log(p / (1 - p)) = kernel @ alpha`` to two classes.

    Args:
        kernel: ``[n, n]``, inner products of the examples.
        positive: ``[n]``, the class of each.
        weight: ``[n]``, above 0, how much each counts.
        penalty: weight of the squared length of the solution, above 0; a larger one gives a duller answer.

    Returns:
        ``alpha`` ``[n]``: how much of each example is in the solution.
    """
    sign = np.where(positive, 1.0, -1.0)

    def loss(alpha: Doubles) -> float:
        logit = kernel @ alpha
        return float(weight @ np.logaddexp(0.0, -sign * logit) + penalty / 2 * alpha @ logit)

    alpha = np.zeros(len(kernel))
    now = loss(alpha)
    for _ in range(_STEPS):
        logit = kernel @ alpha
        p = 0.5 * (1.0 + np.tanh(logit / 2))  # the logistic function, without overflow
        curvature = weight * p * (1.0 - p)
        pull = weight * (positive - p)
        # Newton's step in alpha, multiplied out so that a curvature of 0 does no harm.
        step = np.linalg.solve(curvature[:, None] * kernel + penalty * np.eye(len(kernel)), pull - penalty * alpha)
        for _ in range(_HALVINGS):
            after = loss(alpha + step)
            if after <= now:
                break
            step = step / 2
        else:
            break
        alpha, gain, now = alpha + step, now - after, after
        if gain <= _ENOUGH * (1.0 + abs(now)):
            break
    return alpha
