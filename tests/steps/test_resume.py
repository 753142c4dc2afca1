"""A training that is killed, at any moment and as often as you like, ends with the same bits as one that is not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
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
    child = train_in_child(everything(tmp_path / "store", tmp_path / "straight"), tmp_path / "straight.pt")
    assert os.waitpid(child, 0)[1] == 0

    rng, kills = np.random.default_rng(8), 0
    while newest_step(tmp_path / "killed") < 51:
        started_s, start = time.monotonic(), newest_step(tmp_path / "killed")
        child = train_in_child(everything(tmp_path / "store", tmp_path / "killed"), tmp_path / "killed.pt")
        # Some checkpoints on, and then at any moment of the next three steps, their validation and their checkpoint.
        aim = min(57, start + 3 * int(rng.integers(2, 4)))
        while (step := newest_step(tmp_path / "killed")) < aim and os.waitpid(child, os.WNOHANG) == (0, 0):
            if step == start:
                started_s = time.monotonic()  # until its first checkpoint a child is setting out
            time.sleep(0.002)
        step_s = (time.monotonic() - started_s) / max(1, aim - start - 3)  # as fast as the machine is now
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
    newest = checkpoints.newest(warn=print)
    assert newest is not None
    assert newest["step"] == 5
    checkpoints.save(10, {"value": torch.zeros(3)}, best=5)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000005.pt", "step_000010.pt"]


def test_the_oldest_go_first_and_the_best_stays(tmp_path: Path) -> None:
    """Also past a million steps, where names are no longer in the order of their age."""
    checkpoints = Checkpoints(tmp_path, limit=2)
    assert checkpoints.newest(warn=print) is None
    for step in (999_000, 999_500, 1_000_000, 1_000_500):
        checkpoints.save(step, {}, best=999_000)
    assert [path.stem for path in checkpoint_paths(tmp_path)] == ["step_999000", "step_1000000", "step_1000500"]
    newest = checkpoints.newest(warn=print)
    assert newest is not None
    assert newest["step"] == 1_000_500


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def flip_a_bit(path: Path) -> None:
    """Of a weight: torch loads such a file without a word."""
    weight = torch.load(path, weights_only=True)["network"]["out.weight"]
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes())] ^= 4
    path.write_bytes(content)
    torch.load(path, weights_only=True)


def train_into(checkpoints: Path, *, store: Path) -> dict[str, torch.Tensor]:
    """Train with checkpoints after steps 4, 8, 12 and 16; returns the weights."""
    torch.set_num_threads(1)
    head = make_head()
    train_head(head, make_job(store, checkpoints, steps=16, checkpoint_every_steps=4), progress=Progress("train"))
    return cast(nn.Module, head).state_dict()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A training that nothing disturbed: its folder, where the last checkpoint is lost, and its weights."""
    folder = tmp_path_factory.mktemp("straight")
    write_features(folder / "store", frontends=("speech_embedding",))
    weights = train_into(folder / "checkpoints", store=folder / "store")
    checkpoint_paths(folder / "checkpoints")[-1].unlink()
    return folder, weights


@pytest.mark.parametrize(("damage", "count"), [(truncate, 1), (empty, 1), (garble, 1), (flip_a_bit, 1), (truncate, 3)])
def test_the_checkpoint_before_a_damaged_one_takes_its_place(
    damage: Callable[[Path], None],
    count: int,
    straight: tuple[Path, dict[str, torch.Tensor]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And if all are damaged it starts anew; always to the same bits."""
    folder, weights = straight
    copies = tmp_path / "checkpoints"
    shutil.copytree(folder / "checkpoints", copies)
    for path in checkpoint_paths(copies)[-count:]:
        damage(path)
    mended = train_into(copies, store=folder / "store")
    told = capsys.readouterr().err
    assert told.count("step_000012.pt is damaged; got ") == 1
    assert "training goes on from step_000008.pt" in told
    assert ("training starts anew" in told) == (count == 3)
    for name, value in weights.items():
        assert torch.equal(value, mended[name]), name
    assert (copies / "step_000012.damaged").is_file()
    assert [path.stem for path in checkpoint_paths(copies)][-2:] == ["step_000012", "step_000016"]
