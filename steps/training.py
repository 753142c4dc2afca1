"""The training loop, shared by the detector's heads and the gate.

One straight loop: draw rows by their loss, add noise, step, remember the losses. Every so often it validates and writes
a checkpoint that holds all there is, so that a killed run goes on with the same numbers as one that was never killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.frontends.table import FRONT_ENDS
from models.streaming import Head
from steps.dataset import AdaptiveLossAwareDataset, Source
from steps.progress import Progress
from steps.sampling import DynamicClassAwareSampler
from steps.settings import Train
from steps.store import RowReader
from steps.validation import validate

__all__ = ["HardTargets", "TrainingJob", "train_head", "used_rows"]

LossFunction = Callable[[Tensor, npt.NDArray[np.int64]], Tensor]
_STANDARDISE_ROWS = 4_096


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What to train on, and how.

    Attributes:
        frontend: name of the front end, which is also the name of the features' array.
        train: rows to learn from.
        validation: rows to choose by, of other voices.
        settings: as in ``params.yaml``.
        steps: batches.
        learning_rate_max: top of the one-cycle schedule.
        seed: fixes the weights at the start, the batches and the noise.
        checkpoints: folder for checkpoints; one that is there already is gone on from.
        loss: logits ``[b, members]`` and row numbers -> loss of each sample ``[b]``.
    """

    frontend: str
    train: RowReader
    validation: RowReader
    settings: Train
    steps: int
    learning_rate_max: float
    seed: int
    checkpoints: Path
    loss: LossFunction


class HardTargets:
    """Binary cross-entropy against the labels.

    Args:
        labels: 1 for the phrase, 0 for anything else, ``[n]``.
        smoothing: moves the targets this far towards one half.
    """

    def __init__(self, labels: npt.NDArray[np.integer], *, smoothing: float) -> None:
        self._targets = torch.from_numpy(labels.astype(np.float32)) * (1 - smoothing) + smoothing / 2

    def __call__(self, logits: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        """Logits ``[b, members]`` -> losses ``[b]``, averaged over the members."""
        targets = self._targets[rows].unsqueeze(1).expand_as(logits)
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)


def train_head(head: Head, job: TrainingJob, *, progress: Progress) -> list[dict[str, Any]]:
    """Train a head in place.

    Returns:
        The history: one entry per checkpoint with ``step``, ``loss`` and the validation of the averaged weights.
    """
    network = cast(nn.Module, head)
    settings = job.settings
    used = used_rows(job.train, settings.batch_composition)
    standardise(network, job.train, used, frontend=job.frontend, seed=job.seed)
    ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=job.learning_rate_max, weight_decay=settings.weight_decay, foreach=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=job.learning_rate_max, total_steps=job.steps)
    data = dataset(job.train, job.frontend)
    sampler = DynamicClassAwareSampler(
        data,
        {str(pool): count for pool, count in settings.batch_composition.items()},
        seed=[job.seed, 1],
        alpha=settings.isbl.alpha,
        epsilon=settings.isbl.epsilon,
        loss_floor=settings.isbl.loss_floor,
        loss_cap=settings.isbl.loss_cap,
        loss_decay=settings.isbl.loss_decay,
        reset_every_batches=settings.isbl.reset_every_steps,
    )
    weights = torch.ones(len(job.train["pool"]))
    weights[rows_of(job.train, ["neighbour"])] = settings.neighbour_weight
    noise = settings.feature_noise * cast(Tensor, network.deviation)
    history: list[dict[str, Any]] = []
    parts = {"network": network, "ema": ema, "optimizer": optimizer, "schedule": schedule, "sampler": sampler}

    torch.manual_seed(job.seed)
    step = _resume(job.checkpoints, parts, history)
    smooth_loss = history[-1]["loss"] if history else None
    while step < job.steps:
        network.train()
        rows = sampler.draw()
        batch = data.rows(rows, frames=head.window_frames)
        batch = batch + noise * torch.randn_like(batch)
        losses = job.loss(head.score_window(batch), rows)
        optimizer.zero_grad()
        (losses * weights[rows]).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        ema.update_parameters(network)
        sampler.update(rows, losses.detach().numpy())
        loss = float(losses.detach().mean())
        smooth_loss = loss if smooth_loss is None else 0.98 * smooth_loss + 0.02 * loss
        step += 1

        if step % settings.checkpoint_every_steps == 0 or step == job.steps:
            result = validate(cast(Head, ema.module), job.validation, frontend=job.frontend)
            history.append({"step": step, "loss": smooth_loss, **result.to_json()})
            _save(job.checkpoints / f"step_{step:06d}.pt", step, parts, history)
        progress.update(step, job.steps, unit="steps", note=_note(job.frontend, smooth_loss, history))
    return history


def dataset(data: RowReader, frontend: str) -> AdaptiveLossAwareDataset:
    """The rows of a group of the features' store, as one front end sees them."""
    return AdaptiveLossAwareDataset(
        [Source(features=data[frontend], pools=data["pool"].all(), names=data.attributes["pools"])]
    )


def used_rows(data: RowReader, composition: Mapping[Any, int]) -> npt.NDArray[np.int64]:
    """Rows of the pools that batches take from; what is left out has no part in statistics either.

    Args:
        data: rows with their ``pool``.
        composition: rows of each pool in a batch, by name.
    """
    return rows_of(data, [name for name in data.attributes["pools"] if composition.get(name)])


def rows_of(data: RowReader, pools: Sequence[str]) -> npt.NDArray[np.int64]:
    """Rows of some pools."""
    numbers = [number for number, name in enumerate(data.attributes["pools"]) if name in pools]
    return np.flatnonzero(np.isin(data["pool"].all(), numbers))


def standardise(network: nn.Module, data: RowReader, used: npt.NDArray[np.int64], *, frontend: str, seed: int) -> None:
    """Set a head's ``mean`` and ``deviation`` from a sample of some rows."""
    rng = np.random.default_rng([seed, 2])
    rows = np.sort(used[rng.permutation(len(used))[:_STANDARDISE_ROWS]])
    frames = data[frontend].rows(rows).astype(np.float64).reshape(-1, FRONT_ENDS[frontend].n_features)
    network.mean = torch.from_numpy(frames.mean(axis=0).astype(np.float32))
    network.deviation = torch.from_numpy((frames.std(axis=0) + 1e-3).astype(np.float32))


def _note(frontend: str, loss: float, history: list[dict[str, Any]]) -> str:
    miss = f", validation miss {100 * history[-1]['miss_rate']:.1f} %" if history else ""
    return f"{frontend}: loss {loss:.4f}{miss}"


def _save(path: Path, step: int, parts: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Write a checkpoint beside its place and rename it in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = {name: part.state_dict() for name, part in parts.items()}
    saved |= {
        "step": step,
        "torch_random": torch.get_rng_state(),
        "history": json.dumps(history),
    }
    beside = path.with_suffix(".writing")
    torch.save(saved, beside)
    os.replace(beside, path)  # noqa: PTH105


def _resume(folder: Path, parts: dict[str, Any], history: list[dict[str, Any]]) -> int:
    """Load the newest checkpoint, if there is one; returns the step to go on from."""
    newest = max(folder.glob("step_*.pt"), default=None)
    if newest is None:
        return 0
    saved = torch.load(newest, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    torch.set_rng_state(saved["torch_random"])
    history[:] = json.loads(saved["history"])
    return int(saved["step"])
