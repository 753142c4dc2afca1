"""Choose each head's weights: the moving average, an average of stable checkpoints (SWA), or the best single one.

Validation decides between the candidates; all of them are reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import nn

from models.detector import Detector, DetectorConfig
from models.streaming import Head
from steps.candidates import find_candidates
from steps.stage import Context
from steps.store import RowReader
from steps.training_rows import used_rows
from steps.validation import common_hops, fuse, rate, stream

__all__ = ["calibrate", "choose_weights", "run"]


def run(context: Context) -> None:
    """Choose each head's weights, fuse the heads, calibrate the score.

    Writes ``detector.pt`` (`Detector.save_state`) and ``choice.json``.
    """
    torch.use_deterministic_algorithms(True)
    settings = context.settings
    store = context.input("features") / "features.zarr"
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    detector = Detector(
        DetectorConfig(
            frontends=settings.features.frontends,
            network=settings.train.network,
            members=settings.train.members,
        )
    )
    used = used_rows(train, settings.train.batch_composition)
    histories = json.loads((context.input("train") / "history.json").read_text(encoding="utf-8"))
    choices: dict[str, Any] = {}
    streams = []
    budget, hops = settings.train.validation_fa_per_hour, common_hops(settings.features.frontends)
    for frontend, module in zip(settings.features.frontends, detector.heads, strict=True):
        head = cast(Head, module)
        checkpoints = context.input("train") / frontend
        choices[frontend] = choose_weights(
            head,
            checkpoints,
            history=histories[frontend],
            train=train,
            used=used,
            validation=validation,
            frontend=frontend,
            top_k=settings.average.top_k,
            fa_per_hour=budget,
        )
        streams.append(stream(head, validation, frontend=frontend, hops=hops))
        context.progress.say(_tell(frontend, choices[frontend], fa_per_hour=budget))
        context.progress.update(len(streams), len(settings.features.frontends), unit="heads")
    fused = fuse(streams)
    labels = validation["label"].all()
    detector.calibration = torch.tensor(calibrate(fused.windows, labels))
    choices["fused"] = rate(fused, labels, fa_per_hour=budget).to_json()
    torch.save(detector.save_state(), context.out / "detector.pt")
    (context.out / "choice.json").write_text(json.dumps(choices, indent=2) + "\n", encoding="utf-8")


def choose_weights(
    head: Head,
    checkpoints: Path,
    *,
    history: Sequence[Mapping[str, Any]],
    train: RowReader,
    used: npt.NDArray[np.int64],
    validation: RowReader,
    frontend: str,
    top_k: int,
    fa_per_hour: float,
) -> dict[str, Any]:
    """Load the best candidate into a head.

    Args: as of `steps.candidates.find_candidates`.

    Returns:
        ``chosen``; the three that were to be compared, ``moving average``, ``swa`` and ``best single``, with their miss
        rates in ``compared``; which checkpoints were ``stable`` and which ``averaged``; and in ``candidates`` the
        validation of each.
    """
    found = find_candidates(
        head,
        checkpoints,
        history=history,
        train=train,
        used=used,
        validation=validation,
        frontend=frontend,
        top_k=top_k,
        fa_per_hour=fa_per_hour,
    )
    cast(nn.Module, head).load_state_dict(found.weights[found.best])
    compared = {"moving average": "moving average", "swa": "swa", "best single": found.best_single}
    return {
        "chosen": found.best,
        "compared": {kind: found.results[name].to_json() for kind, name in compared.items()},
        "stable": found.stable,
        "averaged": found.averaged,
        "candidates": {name: result.to_json() for name, result in found.results.items()},
    }


def _tell(name: str, choice: Mapping[str, Any], *, fa_per_hour: float) -> str:
    """What was chosen for a head, and from what, in a line."""
    misses = ", ".join(f"{kind} {100 * of['miss_rate']:.1f} %" for kind, of in choice["compared"].items())
    averaged = ", ".join(name.removeprefix("step_").lstrip("0") for name in choice["averaged"])
    return f"{name}: misses at {fa_per_hour:g} FA/h: {misses} (swa of steps {averaged}); kept: {choice['chosen']}"


def calibrate(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> tuple[float, float]:
    """Platt's scaling, with his smoothed targets (Platt 1999), both classes weighing the same.

    Returns:
        ``scale`` and ``offset`` of ``score = sigmoid(scale * logit + offset)``.
    """
    positive = labels == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    weights = np.where(positive, 0.5 / n_positive, 0.5 / n_negative)

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scale, offset = parameters
        z = scale * logits + offset
        error = weights * (expit(z) - targets)
        value = float(np.sum(weights * (np.logaddexp(0.0, z) - targets * z)))
        return value, np.array([np.sum(error * logits), np.sum(error)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(1e-3, 10.0), (-20.0, 20.0)])
    return float(found.x[0]), float(found.x[1])
