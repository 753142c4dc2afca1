"""From the logits of several heads to one calibrated score: weights that are learned, and Platt's scaling.

Learned weights are a logistic regression on the heads' logits, as Brümmer et al. 2007 fuse recognisers
(https://doi.org/10.1109/TASL.2007.902870). They are kept from being negative, as Breiman does in stacking (1996,
https://doi.org/10.1007/BF00117832): the heads all hear the same phrase, so a negative weight only says that they agree
on the windows at hand. Scaled to a sum of 1 they are a convex average, and the scale is left to the calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit

from models.detector import Detector
from steps.validation import Streamed, fuse

__all__ = ["calibrate", "fit_fusion", "learn_weights"]

Logits = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]

_SCALES: Final = (1e-3, 10.0)
_OFFSETS: Final = (-20.0, 20.0)


def fit_fusion(detector: Detector, streams: Sequence[Streamed], labels: Labels) -> Streamed:
    """Set a detector's weights, where they are to be learned, and its calibration.

    Args:
        detector: its heads are final.
        streams: what each of them says of the validation windows.
        labels: of these, ``[n]``.

    Returns:
        What they say together.
    """
    if detector.config.fusion == "learned":
        detector.weights = torch.tensor(learn_weights(np.stack([one.windows for one in streams], axis=1), labels))
    fused = fuse(streams, detector.weights.numpy())
    detector.calibration = torch.tensor(calibrate(fused.windows, labels))
    return fused


def calibrate(logits: Logits, labels: Labels) -> tuple[float, float]:
    """Platt's scaling, with his smoothed targets (Platt 1999), both classes weighing the same.

    Args:
        logits: ``[n]``.
        labels: 1 for the phrase, ``[n]``.

    Returns:
        ``scale`` and ``offset`` of ``score = sigmoid(scale * logit + offset)``.
    """
    scale, offset = _regress(logits[:, None], labels)
    return scale, offset


def learn_weights(logits: Logits, labels: Labels) -> list[float]:
    """Weights of several heads, none negative, with a sum of 1.

    Args:
        logits: ``[n, heads]``.
        labels: 1 for the phrase, ``[n]``.
    """
    *scales, _ = _regress(logits, labels)
    return [scale / sum(scales) for scale in scales]


def _regress(logits: Logits, labels: Labels) -> list[float]:
    """Scales of each column, then the offset."""
    positive = labels == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    weights = np.where(positive, 0.5 / n_positive, 0.5 / n_negative)

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = logits @ parameters[:-1] + parameters[-1]
        error = weights * (expit(z) - targets)
        value = float(np.sum(weights * (np.logaddexp(0.0, z) - targets * z)))
        return value, np.append(error @ logits, np.sum(error))

    n_heads = logits.shape[1]
    start = np.append(np.full(n_heads, 1.0 / n_heads), 0.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*[_SCALES] * n_heads, _OFFSETS])
    return [float(value) for value in found.x]
