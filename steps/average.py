"""Choose the weights: the moving average, an average of the last checkpoints (SWA), or the best single one.

Izmailov et al. 2018, https://arxiv.org/abs/1803.05407: averaged weights need batch-norm statistics of their own, so
these are re-estimated on training rows. Validation decides between the candidates; all of them are reported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor, nn

from models.detector import Detector, DetectorConfig
from models.streaming import Head
from steps.checkpoints import checkpoint_paths
from steps.stage import Context
from steps.store import RowReader
from steps.training_rows import dataset, used_rows
from steps.validation import Validation, common_hops, fuse, rate, stream, validate

__all__ = ["calibrate", "choose_weights", "run"]

Weights = dict[str, Tensor]
_STATISTICS_ROWS = 4_096


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
    choices: dict[str, Any] = {}
    streams = []
    budget, hops = settings.train.validation_fa_per_hour, common_hops(settings.features.frontends)
    for frontend, module in zip(settings.features.frontends, detector.heads, strict=True):
        head = cast(Head, module)
        checkpoints = context.input("train") / frontend
        choices[frontend] = choose_weights(
            head,
            checkpoints,
            train=train,
            used=used,
            validation=validation,
            frontend=frontend,
            last=settings.average.last,
            fa_per_hour=budget,
        )
        streams.append(stream(head, validation, frontend=frontend, hops=hops))
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
    train: RowReader,
    used: npt.NDArray[np.int64],
    validation: RowReader,
    frontend: str,
    last: int,
    fa_per_hour: float,
) -> dict[str, Any]:
    """Load the best candidate into a head.

    Args:
        head: gets the weights.
        checkpoints: folder of ``step_*.pt``.
        train: rows for batch-norm statistics.
        used: those of them that training took.
        validation: rows to choose by.
        frontend: the features to use.
        last: checkpoints that the average takes.
        fa_per_hour: budget of false accepts that the candidates are compared at.

    Returns:
        ``chosen`` and the validation of each candidate.
    """
    network = cast(nn.Module, head)
    saved = {path.stem: torch.load(path, weights_only=True) for path in checkpoint_paths(checkpoints)}
    newest = list(saved)[-last:]
    candidates: dict[str, Weights] = {f"single {name}": weights["network"] for name, weights in saved.items()}
    candidates["moving average"] = saved[newest[-1]]["ema"]
    network.load_state_dict(_mean([saved[name]["network"] for name in newest]))
    _estimate_statistics(head, train, used, frontend=frontend)
    candidates["swa"] = {key: value.clone() for key, value in network.state_dict().items()}

    results: dict[str, Validation] = {}
    for name, weights in candidates.items():
        network.load_state_dict(weights)
        results[name] = validate(head, validation, frontend=frontend, fa_per_hour=fa_per_hour)
    # Validation of synthetic voices is nearly solved: among equals the averages, which come last, are the safer choice.
    chosen = min(reversed(results), key=lambda name: results[name].rank)
    network.load_state_dict(candidates[chosen])
    return {"chosen": chosen, "candidates": {name: result.to_json() for name, result in results.items()}}


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


def _mean(many: list[Weights]) -> Weights:
    """Average of weights; counters stay as they are in the newest."""
    return {
        key: torch.stack([weights[key] for weights in many]).mean(dim=0) if value.is_floating_point() else value
        for key, value in many[-1].items()
    }


@torch.no_grad()
def _estimate_statistics(head: Head, data: RowReader, used: npt.NDArray[np.int64], *, frontend: str) -> None:
    """Batch-norm statistics of the weights as they now are, by a plain average over training rows."""
    network = cast(nn.Module, head)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    order = used[np.random.default_rng(0).permutation(len(used))[:_STATISTICS_ROWS]]
    every = dataset(data, frontend)
    for rows in np.array_split(order, max(1, len(order) // 512)):
        head.score_window(every.rows(rows, frames=head.window_frames))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
