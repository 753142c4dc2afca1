"""Distil the fused detector into a tiny gate that needs none of its front ends.

Hinton, Vinyals, Dean 2015, https://arxiv.org/abs/1503.02531: the student learns the teacher's softened answers,
``alpha * T^2 * KL(teacher_T || student_T) + (1 - alpha) * BCE``, for a binary decision.
"""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.detector import Detector, DetectorConfig
from models.streaming import Head
from steps.average import calibrate, choose_weights
from steps.losses import HardTargets
from steps.resuming import describe_origin, find_beginning
from steps.stage import STAGES, Context
from steps.store import RowReader
from steps.train import THREADS, keep_weights
from steps.training import TrainingJob, train_head
from steps.training_rows import used_rows
from steps.validation import common_hops, fuse, rate, score_rows, stream

__all__ = ["SoftTargets", "run"]


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
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(THREADS)
    settings = context.settings
    frontend = settings.features.gate_frontend
    store = context.input("features") / "features.zarr"
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    weights = context.input("average") / "detector.pt"
    data = {"features": store, "detector": weights}
    origin = describe_origin(settings, sections=STAGES["distill"].sections, data=data)
    find_beginning(context.checkpoints, context.beginning, origin=origin, tell=context.progress.say)
    teacher = Detector.from_saved(torch.load(weights, weights_only=True))
    config = DetectorConfig(frontends=(frontend,), network=settings.distill.network, members=1)
    torch.manual_seed(settings.seed)
    gate = Detector(config)
    head = cast(Head, gate.heads[0])
    labels = train["label"].all()
    job = TrainingJob(
        frontend=frontend,
        train=train,
        validation=validation,
        settings=settings.train,
        steps=settings.distill.steps,
        learning_rate_max=settings.distill.learning_rate_max,
        seed=settings.seed,
        checkpoints=context.checkpoints,
        loss=SoftTargets(
            teacher_logits(teacher, train),
            labels,
            temperature=settings.distill.temperature,
            alpha=settings.distill.alpha,
        ),
    )
    trained = train_head(head, job, progress=context.progress)
    keep_weights(job.checkpoints, context.out / "weights", warn=context.progress.say)
    choice = choose_weights(
        head,
        context.out / "weights",
        history=trained.history,
        train=train,
        used=used_rows(train, settings.train.batch_composition),
        validation=validation,
        frontend=frontend,
        top_k=settings.average.top_k,
        fa_per_hour=settings.train.validation_fa_per_hour,
    )
    hops = common_hops([frontend, *teacher.config.frontends])
    student = stream(head, validation, frontend=frontend, hops=hops)
    taught = fuse(
        [
            stream(cast(Head, part), validation, frontend=name, hops=hops)
            for name, part in zip(teacher.config.frontends, teacher.heads, strict=True)
        ]
    )
    answers = validation["label"].all()
    gate.calibration = torch.tensor(calibrate(student.windows, answers))
    budget = settings.train.validation_fa_per_hour
    report = {
        **choice,
        "student": rate(student, answers, fa_per_hour=budget).to_json(),
        "teacher": rate(taught, answers, fa_per_hour=budget).to_json(),
        "history": trained.history,
    }
    torch.save(gate.save_state(), context.out / "gate.pt")
    (context.out / "distillation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def teacher_logits(teacher: Detector, data: RowReader) -> npt.NDArray[np.float32]:
    """The fused detector's logit of each row, float32 ``[n]``."""
    logits = [
        score_rows(cast(Head, head), data, frontend=frontend)
        for frontend, head in zip(teacher.config.frontends, teacher.heads, strict=True)
    ]
    fused: npt.NDArray[np.float32] = np.mean(logits, axis=0, dtype=np.float32)
    return fused
