"""Weights that a training offers: those of single checkpoints, their moving average, and an average of stable ones.

The last is stochastic weight averaging, SWA (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407): averaged weights
need batch-norm statistics of their own, so these are re-estimated on training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.streaming import Head
from steps.checkpoints import checkpoint_paths
from steps.dataset import AdaptiveLossAwareDataset
from steps.store import RowReader
from steps.validation import Validation, validate

__all__ = ["Candidates", "find_candidates", "stable_checkpoints"]

Weights = dict[str, Tensor]
_STATISTICS_ROWS: Final = 4_096
_MOST_CHANGE: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Weights by name, and what they are worth.

    Attributes:
        weights: ``single step_*``, ``moving average``, ``swa``.
        results: validation of each.
        stable: checkpoints that are stable.
        averaged: those that ``swa`` is the average of.
    """

    weights: dict[str, Weights]
    results: dict[str, Validation]
    stable: list[str]
    averaged: list[str]

    @property
    def best_single(self) -> str:
        """The single checkpoint that validation likes best."""
        return min((name for name in self.results if name.startswith("single")), key=lambda x: self.results[x].rank)

    @property
    def best(self) -> str:
        """What validation likes best; it is nearly solved, so of equals an average, which is the safer choice."""
        return min(reversed(self.results), key=lambda name: self.results[name].rank)


def find_candidates(
    head: Head,
    checkpoints: Path,
    *,
    history: Sequence[Mapping[str, Any]],
    train: AdaptiveLossAwareDataset,
    used: npt.NDArray[np.int64],
    validation: RowReader,
    frontend: str,
    top_k: int,
    fa_per_hour: float,
) -> Candidates:
    """Gather and validate the candidates.

    Args:
        head: whose weights they are; it is left with some of them.
        checkpoints: folder of ``step_*.pt``, as `steps.train.keep_weights` writes them.
        history: of the training, see `steps.training_record.Trained`.
        train: rows for batch-norm statistics.
        used: those of them that training took.
        validation: rows to choose by.
        frontend: the features to use.
        top_k: most checkpoints to average.
        fa_per_hour: budget of false accepts that the candidates are compared at.
    """
    network = cast(nn.Module, head)
    saved = {path.stem: torch.load(path, weights_only=True) for path in checkpoint_paths(checkpoints)}

    def rated(weights: Weights) -> Validation:
        network.load_state_dict(weights)
        return validate(head, validation, frontend=frontend, fa_per_hour=fa_per_hour)

    singles = {name: rated(parts["network"]) for name, parts in saved.items()}
    stable = stable_checkpoints(history, singles)
    # Of as good ones the newer. One alone is no average.
    ranked = sorted(stable, key=lambda name: (singles[name].rank, -_step(name)))
    averaged = [name for name in saved if name in (ranked[:top_k] if len(stable) > 1 else list(saved)[-top_k:])]
    network.load_state_dict(_mean([saved[name]["network"] for name in averaged]))
    _estimate_statistics(head, train, used)
    averages = {
        "moving average": saved[list(saved)[-1]]["ema"],
        "swa": {key: value.clone() for key, value in network.state_dict().items()},
    }
    return Candidates(
        weights={**{f"single {name}": parts["network"] for name, parts in saved.items()}, **averages},
        results={
            **{f"single {name}": result for name, result in singles.items()},
            **{name: rated(weights) for name, weights in averages.items()},
        },
        stable=stable,
        averaged=averaged,
    )


def stable_checkpoints(history: Sequence[Mapping[str, Any]], results: Mapping[str, Validation]) -> list[str]:
    """Checkpoints at which training had settled and validation was no worse than usual.

    Settled: since the checkpoint before, the running average of the training loss changed by at most a quarter; the
    first has none before it. No worse than usual: its own weights miss at most as many of the validation's phrases, at
    the budget of false accepts, as the median of all that are kept.

    Args:
        history: of the training, an entry for each checkpoint that there was.
        results: validation of those that are kept, by name: ``step_000400``.
    """
    changes = {after["step"]: abs(after["loss"] / before["loss"] - 1) for before, after in pairwise(history)}
    usual = median(result.miss_rate for result in results.values())
    return [
        name
        for name, result in results.items()
        if changes.get(_step(name), float("inf")) <= _MOST_CHANGE and result.miss_rate <= usual
    ]


def _step(name: str) -> int:
    return int(name.removeprefix("step_"))


def _mean(many: list[Weights]) -> Weights:
    """Average of weights; counters stay as they are in the newest."""
    return {
        key: torch.stack([weights[key] for weights in many]).mean(dim=0) if value.is_floating_point() else value
        for key, value in many[-1].items()
    }


@torch.no_grad()
def _estimate_statistics(head: Head, data: AdaptiveLossAwareDataset, used: npt.NDArray[np.int64]) -> None:
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
    for rows in np.array_split(order, max(1, len(order) // 512)):
        head.score_window(data.rows(rows, frames=head.window_frames))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
