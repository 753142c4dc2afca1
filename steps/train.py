"""Train one head on each front end, drawing samples by their loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch

from models.table import build_head
from steps.checkpoints import checkpoint_paths
from steps.losses import HardTargets
from steps.plots import plot_training
from steps.stage import Context
from steps.store import RowReader
from steps.training import TrainingJob, train_head

__all__ = ["run"]

# Fixed, so that results do not depend on how many cores a machine has; heads this small gain nothing from more.
THREADS: Final = 1


def run(context: Context) -> None:
    """Train the heads.

    Writes ``<front end>/step_*.pt`` (weights of the newest checkpoints and their moving average), ``history.json`` and
    ``training.png``.
    """
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(THREADS)
    settings, progress = context.settings, context.progress
    store = context.input("features") / "features.zarr"
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    histories: dict[str, list[dict[str, Any]]] = {}
    for number, frontend in enumerate(settings.features.frontends):
        seed = settings.seed * 1_000 + number
        torch.manual_seed(seed)
        head = build_head(
            settings.train.network,
            frontend=frontend,
            members=settings.train.members,
            dropout_prob=settings.train.dropout_prob,
        )
        job = TrainingJob(
            frontend=frontend,
            train=train,
            validation=validation,
            settings=settings.train,
            steps=settings.train.steps,
            learning_rate_max=settings.train.learning_rate_max,
            seed=seed,
            checkpoints=context.checkpoints / frontend,
            loss=HardTargets(
                train["label"].all(),
                smoothing=settings.train.label_smoothing,
                focal_gamma=settings.train.focal_gamma,
                margin=settings.train.margin,
            ),
        )
        histories[frontend] = train_head(head, job, progress=progress).history
        keep_weights(job.checkpoints, context.out / frontend)
    (context.out / "history.json").write_text(json.dumps(histories, indent=2) + "\n", encoding="utf-8")
    plot_training(histories, context.out / "training.png")


def keep_weights(checkpoints: Path, folder: Path) -> None:
    """Copy out of each checkpoint what later stages need: the weights and their moving average."""
    folder.mkdir()
    for path in checkpoint_paths(checkpoints):
        saved = torch.load(path, weights_only=True, map_location="cpu")
        prefix = "module."
        ema = {key.removeprefix(prefix): value for key, value in saved["ema"].items() if key.startswith(prefix)}
        torch.save({"network": saved["network"], "ema": ema}, folder / path.name)
