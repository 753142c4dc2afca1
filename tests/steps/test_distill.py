"""Distillation: the loss by hand, and a student that learns what the teacher says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from steps.closure import CHECKOUT
from steps.distill import SoftTargets, train_gate
from steps.overlay import dump_tree, lay_over, load_tree
from steps.progress import Progress
from steps.settings import load_settings
from steps.store import RowReader
from steps.validation import score_detector
from tests.steps.toy_features import write_features


def loss(student: Tensor, teacher: float, *, label: int, temperature: float, alpha: float) -> Tensor:
    targets = SoftTargets(np.array([teacher], np.float32), np.array([label]), temperature=temperature, alpha=alpha)
    return targets(student, np.array([0]))[0]


@pytest.mark.parametrize(
    ("teacher", "student", "label", "alpha", "expected"),
    [
        # At temperature 4 the teacher says 3/4 and the student 1/2, both of the phrase: both classes count.
        (4 * math.log(3), 0.0, 1, 1.0, 16 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))),
        (4 * math.log(3), 0.0, 1, 0.7, 0.7 * 16 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) + 0.3 * math.log(2)),
        # The teacher says 1/5 and the student 4/5; the label agrees with the teacher, and hears 256/257.
        (-4 * math.log(4), 4 * math.log(4), 0, 0.7, 0.7 * 16 * 0.6 * math.log(4) + 0.3 * math.log(257)),
        (1.5, 1.5, 1, 1.0, 0.0),
    ],
)
def test_the_loss_by_hand(teacher: float, student: float, label: int, alpha: float, expected: float) -> None:
    found = loss(torch.tensor([[student]]), teacher, label=label, temperature=4.0, alpha=alpha)
    assert found.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("temperature", [8.0, 32.0])
def test_the_teachers_pull_does_not_fade_with_the_temperature(temperature: float) -> None:
    """Hinton's reason for the factor: at high temperatures the gradient nears (student - teacher) / 4."""
    student = torch.tensor([[1.0]], requires_grad=True)
    loss(student, 2.0, label=1, temperature=temperature, alpha=1.0).backward()
    assert student.grad is not None
    assert student.grad.item() == pytest.approx(-0.25, abs=0.01)


def test_a_student_learns_its_teachers_doubt_though_the_labels_are_sure(tmp_path: Path) -> None:
    tree = load_tree(CHECKOUT / "params.yaml")
    changes = {
        "train": {
            "batch_composition": {"positive": 8, "partial": 4, "speech": 4, "noise": 4, "neighbour": 0},
            "checkpoint_every_steps": 40,
            "ema_decay": 0.5,
        },
        "distill": {"steps": 40, "layer_size": 4, "alpha": 1.0, "learning_rate_max": 0.01},
    }
    lay_over(tree, changes, known={})
    (tmp_path / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")
    write_features(tmp_path / "features.zarr", frontends=("logmel",), rows=120)
    train = RowReader(tmp_path / "features.zarr" / "train")
    gate, report = train_gate(
        load_settings(tmp_path / "params.yaml"),
        store=tmp_path / "features.zarr",
        teacher=np.ones(len(train["label"]), np.float32),
        weights=tmp_path / "weights",
        checkpoints=tmp_path / "checkpoints",
        progress=Progress("distill"),
    )
    logits, labels = score_detector(gate, train), train["label"].all()
    assert [logits[labels == label].mean() for label in (0, 1)] == pytest.approx([1.0, 1.0], abs=0.4)
    assert [entry["step"] for entry in report["history"]] == [40]
    assert {"miss_rate", "fa_per_hour"} < set(report["candidates"][report["chosen"]])  # of a stream
