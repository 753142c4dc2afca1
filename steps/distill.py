"""Distil the fused detector into a tiny gate that needs none of its front ends.

Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531: the student learns the teacher's softened answers,
``alpha * T^2 * KL(teacher_T || student_T) + (1 - alpha) * BCE``, for a binary decision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.detector import Detector, DetectorConfig
from models.streaming import Head
from steps.automatic_training import count_rows, settle_training
from steps.average import choose_weights
from steps.candidates import find_candidates
from steps.fusion import calibrate
from steps.losses import HardTargets
from steps.optimisation import compute_repeatably
from steps.progress import Progress
from steps.resuming import describe_origin, find_beginning
from steps.settings import Settings
from steps.stage import STAGES, Context
from steps.store import RowReader
from steps.teacher import checkpoint_logits
from steps.train import keep_weights
from steps.training import TrainingJob, train_head
from steps.training_rows import dataset, standardise, used_rows
from steps.validation import fuse, rate, score_rows, stored_hops, stream_detector

__all__ = ["SoftTargets", "run", "train_gate"]


class SoftTargets:
    """Distillation loss for a binary student.

    Args:
        teacher: the teacher's logit of each row, ``[n]``.
        labels: 1 for the phrase, ``[n]``.
        temperature: softens both answers.
        alpha: share of the teacher; the labels have the rest.
    """

    def __init__(
        self,
        teacher: npt.NDArray[np.float32],
        labels: npt.NDArray[np.integer],
        *,
        temperature: float,
        alpha: float,
    ) -> None:
        self._soft = torch.sigmoid(torch.from_numpy(teacher) / temperature)
        self._hard = HardTargets(labels, smoothing=0.0)
        self._temperature, self._alpha = temperature, alpha

    def __call__(self, logits: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        """Logits ``[b, members]`` -> losses ``[b]``."""
        soft = self._soft[rows].to(logits.device).unsqueeze(1).expand_as(logits)
        cross_entropy = F.binary_cross_entropy_with_logits(logits / self._temperature, soft, reduction="none")
        divergence = cross_entropy - F.binary_cross_entropy(soft, soft, reduction="none")
        return self._alpha * self._temperature**2 * divergence.mean(dim=1) + (1 - self._alpha) * self._hard(
            logits, rows
        )


def run(context: Context) -> None:
    """Train the gate.

    Writes ``gate.pt`` (`Detector.save_state`) and ``distillation.json``.
    """
    settings = context.settings
    store = context.input("features") / "features.zarr"
    weights, windows = context.input("finetune") / "detector.pt", context.input("augment") / "windows.zarr"
    data = {"features": store, "detector": weights}
    origin = describe_origin(settings, sections=STAGES["distill"].sections, data=data)
    find_beginning(context.checkpoints, context.beginning, origin=origin, tell=context.progress.say)
    teacher = Detector.from_saved(torch.load(weights, weights_only=True))
    # Of front ends that were tuned no features are stored.
    heard = windows if teacher.config.tuned else store
    gate, report = train_gate(
        settings,
        store=store,
        teacher=checkpoint_logits(teacher, RowReader(heard / "train")),
        weights=context.out / "weights",
        checkpoints=context.checkpoints,
        progress=context.progress,
    )
    validation, budget = RowReader(store / "validation"), settings.train.validation_fa_per_hour
    hops = stored_hops(validation, [*gate.config.frontends, *teacher.config.frontends])
    for role, model, heard_by in (("student", gate, validation), ("teacher", teacher, RowReader(heard / "validation"))):
        streamed = fuse(stream_detector(model, heard_by, hops=hops), model.weights.numpy())
        report[role] = rate(streamed, validation["label"].all(), fa_per_hour=budget).to_json()
    torch.save(gate.save_state(), context.out / "gate.pt")
    (context.out / "distillation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def train_gate(
    settings: Settings,
    *,
    store: Path,
    teacher: npt.NDArray[np.float32],
    weights: Path,
    checkpoints: Path,
    progress: Progress,
) -> tuple[Detector, dict[str, Any]]:
    """Train a gate on its own front end; of the teacher's nothing is needed but what it answers.

    Args:
        settings: all of them.
        store: of the stage features.
        teacher: its logit of each training row, ``[n]``.
        weights: folder to be made, for the weights of the checkpoints.
        checkpoints: folder for checkpoints; one that is there already is gone on from.
        progress: where to report.

    Returns:
        The gate, calibrated, and what it was chosen from, with its validation and history.
    """
    compute_repeatably()
    frontend = settings.features.gate_frontend
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    torch.manual_seed(settings.seed)
    config = DetectorConfig(
        frontends=(frontend,),
        networks=(settings.distill.network,),
        members=1,
        logmel=settings.features.logmel.options,
    )
    gate = Detector(config)
    head = cast(Head, gate.heads[0])
    distill = settings.distill
    settled, _ = settle_training(settings.train, count_rows(train))
    rows = dataset(train, frontend)
    used = used_rows(rows, settled.batch_composition)
    standardise(head, rows, used, seed=settings.seed)
    job = TrainingJob(
        frontend=frontend,
        train=train,
        validation=validation,
        settings=settled,
        steps=distill.steps,
        learning_rate_max=distill.learning_rate_max,
        seed=settings.seed,
        checkpoints=checkpoints,
        loss=SoftTargets(teacher, train["label"].all(), temperature=distill.temperature, alpha=distill.alpha),
    )
    trained = train_head(head, job, progress=progress)
    keep_weights(job.checkpoints, weights, warn=progress.say)
    found = find_candidates(
        head,
        weights,
        history=trained.history,
        train=rows,
        used=used,
        validation=validation,
        frontend=frontend,
        top_k=settings.average.top_k,
        fa_per_hour=settings.train.validation_fa_per_hour,
    )
    choice = choose_weights(head, found)
    logits = score_rows(head, validation, frontend=frontend)
    gate.calibration = torch.tensor(calibrate(logits, validation["label"].all()))
    return gate, {**choice, "history": trained.history}
