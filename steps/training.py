"""The training loop, shared by the detector's heads and the gate.

One straight loop: draw rows by their loss, disturb them, step, remember the losses. Every so often it validates and
writes a checkpoint that holds all there is: a killed run goes on with the same numbers as one that was never killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.frontends.table import FRONT_ENDS
from models.streaming import Head
from nanowakeword.errors import ModelError
from steps.checkpoints import Checkpoints
from steps.dataset import AdaptiveLossAwareDataset, Source
from steps.feature_noise import mask_features, mix_rows
from steps.losses import PoolWeights
from steps.optimisation import make_optimizer, make_schedule, pick_device
from steps.progress import Progress
from steps.sampling import DynamicClassAwareSampler
from steps.settings import NegativesUp, Train
from steps.store import RowReader
from steps.validation import Validation, validate

__all__ = ["Trained", "TrainingJob", "dataset", "stable_losses", "train_head", "used_rows"]

LossFunction = Callable[[Tensor, npt.NDArray[np.int64]], Tensor]
_STANDARDISE_ROWS: Final = 4_096
_SMOOTHING: Final = 0.98


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What to train on, and how.

    Attributes:
        frontend: name of the front end, which is also the name of the features' array.
        train: rows to learn from.
        validation: rows to choose by, of other voices.
        settings: as in ``params.yaml``.
        steps: batches.
        learning_rate_max: top of the schedule.
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


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How a training went.

    Attributes:
        history: an entry per checkpoint: ``step``, ``loss`` and the other running averages, ``learning_rate``,
            ``negative_weight``, and the validation of the averaged weights.
        losses: mean loss of each batch.
    """

    history: list[dict[str, Any]]
    losses: list[float]

    @property
    def best(self) -> dict[str, Any]:
        """The entry with the fewest misses; among equals of the least loss, then the first."""
        return min(self.history, key=lambda entry: (entry["miss_rate"], round(entry["validation_loss"], 3)))


def stable_losses(losses: Sequence[float]) -> list[float]:
    """The running average after each of some losses."""
    return list(accumulate(losses, _smooth))


def train_head(head: Head, job: TrainingJob, *, progress: Progress) -> Trained:
    """Train a head in place.

    Raises:
        ConfigError: a pool of the composition has no rows, or a GPU is asked for and there is none.
        ModelError: the loss is no number any more.
    """
    network, settings, device = cast(nn.Module, head), job.settings, pick_device(job.settings.device)
    composition = {str(pool): count for pool, count in settings.batch_composition.items()}
    standardise(network, job.train, used_rows(job.train, composition), frontend=job.frontend, seed=job.seed)
    network.to(device)
    mean, deviation = cast(Tensor, network.mean), cast(Tensor, network.deviation)
    ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True)
    optimizer = make_optimizer(network, settings, learning_rate=job.learning_rate_max)
    schedule = make_schedule(optimizer, settings, learning_rate=job.learning_rate_max, steps=job.steps)
    data = dataset(job.train, job.frontend)
    sampler = DynamicClassAwareSampler(
        data,
        composition,
        seed=[job.seed, 1],
        alpha=settings.isbl.alpha,
        epsilon=settings.isbl.epsilon,
        loss_floor=settings.isbl.loss_floor,
        loss_cap=settings.isbl.loss_cap,
        loss_decay=settings.isbl.loss_decay,
        reset_every_batches=settings.isbl.reset_every_steps,
    )
    weigh = PoolWeights(composition, neighbour_weight=settings.neighbour_weight, loss_bias=settings.loss_bias)
    use_bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and device.type == "cuda")
    checkpoints = Checkpoints(job.checkpoints, limit=settings.checkpoint_limit)
    parts = {"network": network, "ema": ema, "optimizer": optimizer, "schedule": schedule, "sampler": sampler}
    trained, running = Trained(history=[], losses=[]), _Running()

    torch.manual_seed(job.seed)
    step = _resume(checkpoints, parts, trained, running)
    while step < job.steps and not _gave_up(trained, settings.early_stopping):
        network.train()
        rows = sampler.draw()
        weights = weigh(negative_weight=trained.history[-1]["negative_weight"] if trained.history else 1.0).to(device)
        batch = data.rows(rows, frames=head.window_frames).to(device)
        batch = batch + settings.feature_noise * deviation * torch.randn_like(batch)
        if settings.spec_augment is not None:
            batch = mask_features(batch, settings.spec_augment, filling=mean)
        if settings.mixup_alpha:
            partners, share = (part.to(device) for part in mix_rows(len(rows), alpha=settings.mixup_alpha))
            batch = torch.lerp(batch[partners], batch, share[:, None, None])
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16):
            logits = head.score_window(batch)
        logits = logits.float()
        losses = job.loss(logits, rows)
        weighted = losses * weights
        if settings.mixup_alpha:
            others = job.loss(logits, rows[partners.cpu().numpy()])
            weighted = torch.lerp(others * weights[partners], weighted, share)
            losses = torch.lerp(others, losses, share)
        optimizer.zero_grad()
        weighted.mean().backward()
        if settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
        optimizer.step()
        schedule.step()
        ema.update_parameters(network)
        step += 1
        remembered = losses.detach().cpu()
        if not torch.isfinite(remembered).all():
            raise ModelError(
                f"training on {job.frontend} diverged at step {step}", hint="Lower train.learning_rate_max"
            )
        sampler.update(rows, remembered.numpy())
        trained.losses.append(float(remembered.mean()))
        running.update(trained.losses[-1], logits.detach().sigmoid().mean(dim=1).cpu(), weigh.is_negative)

        if step % settings.checkpoint_every_steps == 0 or step == job.steps:
            result = validate(
                cast(Head, ema.module),
                job.validation,
                frontend=job.frontend,
                fa_per_hour=settings.validation_fa_per_hour,
            )
            entry = {"step": step, **running.values, "learning_rate": schedule.get_last_lr()[0], **result.to_json()}
            entry["negative_weight"] = _negative_weight(trained.history, result, settings.negatives_up)
            trained.history.append(entry)
            checkpoints.save(step, _state(parts, trained, running), best=trained.best["step"])
        facts = _facts(running, trained, settings)
        note = "; ".join(f"{name} {value}" for name, value in facts.items())
        progress.update(step, job.steps, unit="steps", note=f"{job.frontend}: {note}", facts=facts)
    network.cpu()
    return trained


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
    numbers = [number for number, name in enumerate(data.attributes["pools"]) if composition.get(name)]
    return np.flatnonzero(np.isin(data["pool"].all(), numbers))


def standardise(network: nn.Module, data: RowReader, used: npt.NDArray[np.int64], *, frontend: str, seed: int) -> None:
    """Set a head's ``mean`` and ``deviation`` from a sample of some rows."""
    rng = np.random.default_rng([seed, 2])
    rows = np.sort(used[rng.permutation(len(used))[:_STANDARDISE_ROWS]])
    frames = data[frontend].rows(rows).astype(np.float64).reshape(-1, FRONT_ENDS[frontend].n_features)
    network.mean = torch.from_numpy(frames.mean(axis=0).astype(np.float32))
    network.deviation = torch.from_numpy((frames.std(axis=0) + 1e-3).astype(np.float32))


def _smooth(old: float, new: float) -> float:
    return _SMOOTHING * old + (1 - _SMOOTHING) * new


class _Running:
    """Running averages of the loss and of the scores of both classes."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def update(self, loss: float, scores: Tensor, is_negative: Tensor) -> None:
        new = {
            "loss": loss,
            "positive_score": float(scores[~is_negative].mean()),
            "negative_score": float(scores[is_negative].mean()),
        }
        old = self.values or new
        self.values = {name: _smooth(old[name], value) for name, value in new.items()}


def _gave_up(trained: Trained, patience: int | None) -> bool:
    """Whether the last ``patience`` validations brought nothing better."""
    if patience is None or not trained.history:
        return False
    return len(trained.history) - 1 - trained.history.index(trained.best) >= patience


def _negative_weight(history: Sequence[Mapping[str, Any]], result: Validation, settings: NegativesUp | None) -> float:
    """What a row that is not the phrase weighs from now on (openWakeWord's idea)."""
    weight: float = history[-1]["negative_weight"] if history else 1.0
    if settings is None or result.fa_per_hour <= settings.fa_per_hour:
        return weight
    return min(weight * settings.factor, settings.most)


def _facts(running: _Running, trained: Trained, settings: Train) -> dict[str, str]:
    """What a person sees of the step just done."""
    values = running.values
    facts = {
        "loss": f"{trained.losses[-1]:.4f}, stable {values['loss']:.4f}",
        "scores": f"{values['positive_score']:.3f} of the phrase, {values['negative_score']:.3f} of others",
    }
    if trained.history:
        last, best = trained.history[-1], trained.best
        facts["validation"] = f"misses {100 * last['miss_rate']:.1f} % at {settings.validation_fa_per_hour:g} FA/h"
        facts["best"] = f"{100 * best['miss_rate']:.1f} %, step {best['step']}"
    return facts


def _state(parts: Mapping[str, Any], trained: Trained, running: _Running) -> dict[str, Any]:
    """All that decides the steps to come."""
    return {
        **{name: part.state_dict() for name, part in parts.items()},
        "torch_random": torch.get_rng_state(),
        "gpu_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "history": json.dumps(trained.history),
        "running": running.values,
        "batch_losses": torch.tensor(trained.losses, dtype=torch.float64),
    }


def _resume(checkpoints: Checkpoints, parts: Mapping[str, Any], trained: Trained, running: _Running) -> int:
    """Load the newest checkpoint, if there is one; returns the step to go on from."""
    saved = checkpoints.newest()
    if saved is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    torch.set_rng_state(saved["torch_random"])
    if saved["gpu_random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["gpu_random"])
    trained.history[:] = json.loads(saved["history"])
    trained.losses[:] = saved["batch_losses"].tolist()
    running.values = dict(saved["running"])
    return int(saved["step"])
