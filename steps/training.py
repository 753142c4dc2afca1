"""The training loop, shared by the detector's heads and the gate.

One straight loop: draw rows by their loss, disturb them, step, remember the losses. Every so often it validates and
writes a checkpoint that holds all there is: a killed run goes on with the same numbers as one that was never killed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.streaming import Head
from nanowakeword.errors import ModelError, StorageError
from steps.batches import Batches
from steps.checkpoints import Checkpoints
from steps.dataset import Source
from steps.feature_noise import FeatureNoise, mask_features, mix_rows
from steps.losses import PoolWeights
from steps.moving_average import MovingAverage
from steps.optimisation import make_optimizer, make_schedule, pick_device
from steps.progress import Progress
from steps.sampling import DynamicClassAwareSampler
from steps.settings import NegativesUp, SettledTrain
from steps.store import RowReader
from steps.training_record import Trained
from steps.training_rows import dataset
from steps.validation import Validation, validate

__all__ = ["TrainingJob", "train_head"]

LossFunction = Callable[[Tensor, npt.NDArray[np.int64]], Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What to train on, and how.

    Attributes:
        frontend: name of the features, see `steps.feature_rows.feature_rows`.
        train: rows to learn from.
        validation: rows to choose by, of other voices.
        settings: as in ``params.yaml``, with nothing left to derive.
        steps: batches.
        learning_rate_max: top of the schedule.
        seed: fixes the weights at the start, the batches and the noise.
        checkpoints: folder for checkpoints; one that is there already is gone on from.
        loss: logits ``[b, members]`` and row numbers -> loss of each sample ``[b]``.
        more: rows to learn from that come after those of ``train``.
    """

    frontend: str
    train: RowReader
    validation: RowReader
    settings: SettledTrain
    steps: int
    learning_rate_max: float
    seed: int
    checkpoints: Path
    loss: LossFunction
    more: Sequence[Source] = ()


def train_head(head: Head, job: TrainingJob, *, progress: Progress) -> Trained:
    """Train a head in place.

    Args:
        head: with what its features are standardised by, see `steps.training_rows.standardise`.
        job: what to train on, and how.
        progress: where to report.

    Raises:
        ConfigError: a pool of the composition has no rows, or a GPU is asked for and there is none.
        ModelError: the loss is no number any more.
        StorageError: a checkpoint is of another network or another way to train it.
    """
    network, settings, device = cast(nn.Module, head), job.settings, pick_device(job.settings.device)
    composition = {str(pool): count for pool, count in settings.batch_composition.items()}
    data = dataset(job.train, job.frontend, job.more)
    network.to(device)
    parameters = list(network.parameters())
    ema = MovingAverage(network, decay=settings.ema_decay)
    noise = None
    if settings.feature_noise:
        deviation = cast(Tensor, network.deviation)
        noise = FeatureNoise(
            settings.feature_noise * deviation,
            batch_frames=sum(composition.values()) * head.window_frames,
            seed=[job.seed, 3],
        )
    optimizer = make_optimizer(network, settings, learning_rate=job.learning_rate_max)
    schedule = make_schedule(optimizer, settings, learning_rate=job.learning_rate_max, steps=job.steps)
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
    batches = Batches(data, sampler, frames=head.window_frames)
    weigh = PoolWeights(composition, neighbour_weight=settings.neighbour_weight, loss_bias=settings.loss_bias)
    use_bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and device.type == "cuda")
    is_negative = weigh.is_negative.numpy()
    checkpoints, trained = Checkpoints(job.checkpoints, limit=settings.checkpoint_limit), Trained()
    # All that decides the steps to come.
    parts: dict[str, Any] = {
        "network": network,
        "ema": ema,
        "optimizer": optimizer,
        "schedule": schedule,
        "batches": batches,
        "trained": trained,
        "random": _RandomStates(),
    }

    torch.manual_seed(job.seed)
    with batches:
        step = _resume(checkpoints, parts, warn=progress.say)
        network.train()
        while step < job.steps and not trained.gave_up(settings.early_stopping):
            rows, batch = batches.take()
            weights = weigh(negative_weight=trained.negative_weight).to(device)
            batch = batch.to(device)
            if noise is not None:
                noise.add_to(batch)
            if settings.spec_augment is not None:
                batch = mask_features(batch, settings.spec_augment, filling=cast(Tensor, network.mean))
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
            remembered = losses.detach().cpu().numpy()
            loss = float(remembered.mean())
            if not math.isfinite(loss):
                raise ModelError(
                    f"training on {job.frontend} diverged at step {step + 1}", hint="Lower train.learning_rate_max"
                )
            batches.remember(rows, remembered)
            trained.add_step(loss, logits.detach().sigmoid().mean(dim=1).cpu().numpy(), is_negative)
            # As optimizer.zero_grad(), without what that looks up each time.
            for parameter in parameters:
                parameter.grad = None
            weighted.mean().backward()
            if settings.gradient_clip is not None:
                _clip(parameters, settings.gradient_clip)
            optimizer.step()
            schedule.step()
            ema.update()
            step += 1

            budget = settings.validation_fa_per_hour
            if step % settings.checkpoint_every_steps == 0 or step == job.steps:
                result = validate(cast(Head, ema.network), job.validation, frontend=job.frontend, fa_per_hour=budget)
                entry = {
                    "step": step,
                    **trained.running,
                    "learning_rate": schedule.get_last_lr()[0],
                    **result.to_json(),
                }
                entry["negative_weight"] = _negative_weight(trained, result, settings.negatives_up)
                trained.history.append(entry)
                state = {name: part.state_dict() for name, part in parts.items()}
                checkpoints.save(step, state, best=trained.best["step"])
            facts = trained.facts(fa_per_hour=budget)
            note = "; ".join(f"{name} {value}" for name, value in facts.items())
            progress.update(step, job.steps, unit="steps", note=f"{job.frontend}: {note}", facts=facts)
    network.cpu()
    return trained


def _clip(parameters: Sequence[nn.Parameter], longest: float) -> None:
    """As torch.nn.utils.clip_grad_norm_, which multiplies a gradient that is short enough by one."""
    norms = torch._foreach_norm([p.grad for p in parameters if p.grad is not None])
    length = torch.linalg.vector_norm(torch.stack(norms))
    if length > longest:
        nn.utils.clip_grads_with_norm_(parameters, longest, length, foreach=True)


def _negative_weight(trained: Trained, result: Validation, settings: NegativesUp | None) -> float:
    """What a row that is not the phrase weighs from now on (openWakeWord's idea)."""
    weight = trained.negative_weight
    if settings is None or result.fa_per_hour <= settings.fa_per_hour:
        return weight
    return min(weight * settings.factor, settings.most)


class _RandomStates:
    """Those of torch's generators, on all devices."""

    def state_dict(self) -> dict[str, Any]:
        gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "gpu": gpu}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        torch.set_rng_state(state["cpu"])
        if state["gpu"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["gpu"])


def _resume(checkpoints: Checkpoints, parts: Mapping[str, Any], *, warn: Callable[[str], None]) -> int:
    """Load the newest checkpoint, if there is one; returns the step to go on from."""
    saved = checkpoints.newest(warn=warn)
    if saved is None:
        return 0
    try:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise StorageError(
            f"the checkpoint of step {saved['step']} is of another training: {error}",
            hint="Begin anew with the option --overwrite",
        ) from None
    return int(saved["step"])
