"""A training that is killed, at any moment and as often as you like, ends with the same bits as one that is not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from steps.checkpoints import Checkpoints, checkpoint_paths
from steps.progress import Progress
from steps.settings import Margin, NegativesUp, SpecAugment
from steps.training import TrainingJob, train_head
from tests.steps.test_training import make_head, make_job
from tests.steps.toy_features import write_features


def everything(store: Path, checkpoints: Path) -> TrainingJob:
    """A job in which all that has a state or draws random numbers is on."""
    job = make_job(store, checkpoints, steps=60)
    options = {
        "optimizer_type": "adam",
        "lr_scheduler_type": "cyclic",
        "warmup_steps": 5,
        "mixup_alpha": 0.3,
        "spec_augment": SpecAugment(time_masks=1, frames=3, feature_masks=1, features=8),
        "label_smoothing": 0.05,
        "loss_bias": 0.7,
        "margin": Margin(weight=0.1, margin_pos=3.0, margin_neg=-3.0, logit_reg_weight=1e-3, logit_reg_margin=6.0),
        "negatives_up": NegativesUp(fa_per_hour=0.0, factor=1.3, most=4.0),
        "isbl": job.settings.isbl.model_copy(update={"loss_decay": 0.5, "reset_every_steps": 23}),
        "checkpoint_every_steps": 3,
        "checkpoint_limit": 2,
    }
    return TrainingJob(**{**vars(job), "settings": job.settings.model_copy(update=options)})


def train_in_child(job: TrainingJob, weights: Path) -> int:
    """Train in a process of its own, as a stage does; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        torch.set_num_threads(1)
        head = make_head()
        trained = train_head(head, job, progress=Progress("train"))
        state = cast(nn.Module, head).state_dict()
        torch.save({"weights": state, "losses": torch.tensor(trained.losses, dtype=torch.float64)}, weights)
        status = 0
    finally:
        os._exit(status)


def newest_step(folder: Path) -> int:
    return max((int(path.stem.removeprefix("step_")) for path in checkpoint_paths(folder)), default=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that torch is imported once")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    write_features(tmp_path / "store", frontends=("speech_embedding",))
    started_s = time.monotonic()
    child = train_in_child(everything(tmp_path / "store", tmp_path / "straight"), tmp_path / "straight.pt")
    assert os.waitpid(child, 0)[1] == 0
    step_s = (time.monotonic() - started_s) / 60

    rng, kills = np.random.default_rng(8), 0
    while newest_step(tmp_path / "killed") < 51:
        child = train_in_child(everything(tmp_path / "store", tmp_path / "killed"), tmp_path / "killed.pt")
        # Some checkpoints on, and then at any moment of the next three steps, their validation and their checkpoint.
        aim = min(57, newest_step(tmp_path / "killed") + 3 * int(rng.integers(1, 4)))
        while newest_step(tmp_path / "killed") < aim and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 3.0) * step_s)
        os.kill(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    child = train_in_child(everything(tmp_path / "store", tmp_path / "killed"), tmp_path / "killed.pt")
    assert os.waitpid(child, 0)[1] == 0
    straight, killed = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("straight", "killed"))
    assert kills >= 4
    assert torch.equal(straight["losses"], killed["losses"])
    for name, value in straight["weights"].items():
        assert torch.equal(value, killed["weights"][name]), name


def test_a_kill_while_writing_leaves_whole_checkpoints(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, limit=3)
    checkpoints.save(5, {"value": torch.ones(3)}, best=5)
    (tmp_path / "step_000010.writing").write_bytes(b"half of a checkp")
    newest = checkpoints.newest()
    assert newest is not None
    assert newest["step"] == 5
    checkpoints.save(10, {"value": torch.zeros(3)}, best=5)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000005.pt", "step_000010.pt"]


def test_the_oldest_go_first_and_the_best_stays(tmp_path: Path) -> None:
    """Also past a million steps, where names are no longer in the order of their age."""
    checkpoints = Checkpoints(tmp_path, limit=2)
    assert checkpoints.newest() is None
    for step in (999_000, 999_500, 1_000_000, 1_000_500):
        checkpoints.save(step, {}, best=999_000)
    assert [path.stem for path in checkpoint_paths(tmp_path)] == ["step_999000", "step_1000000", "step_1000500"]
    newest = checkpoints.newest()
    assert newest is not None
    assert newest["step"] == 1_000_500
