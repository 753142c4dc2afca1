"""``--resume``, ``--resume DIR`` and ``--overwrite`` of a stage that trains, in a small workspace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steps.__main__ import main
from steps.checkpoints import checkpoint_paths
from steps.closure import CHECKOUT
from steps.overlay import dump_tree, lay_over, load_tree
from tests.steps.toy_features import write_features

FRONT_END = "speech_embedding"
Captured = pytest.CaptureFixture[str]


def make_workspace(root: Path, *, seed: int = 0, **train: Any) -> Path:
    tree = load_tree(CHECKOUT / "params.yaml")
    small = {
        "steps": 9,
        "layer_size": 4,
        "members": 1,
        "batch_composition": {"positive": 8, "partial": 4, "speech": 4, "noise": 4, "neighbour": 0},
        "checkpoint_every_steps": 3,
        "checkpoint_limit": 3,
    }
    features = {"frontends": [FRONT_END], "gate_frontend": FRONT_END}
    lay_over(tree, {"features": features, "train": {**small, **train}}, known={})
    root.mkdir(parents=True)
    (root / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")
    write_features(root / "artifacts" / "features" / "features.zarr", frontends=(FRONT_END,), rows=60, seed=seed)
    return root


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that trained."""
    root = make_workspace(tmp_path_factory.mktemp("done") / "workspace")
    assert main(["train", "--workspace", str(root)]) == 0
    return root


def checkpoints(root: Path) -> Path:
    (folder,) = (root / "checkpoints").glob("train-*")
    return folder


def history(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / "artifacts" / "train" / "history.json").read_text())[FRONT_END]
    return found


def test_another_run_is_gone_on_with_to_the_same_numbers(done: Path, tmp_path: Path, capsys: Captured) -> None:
    """Its last step is lost here, and is done again; also when its folder of checkpoints is named."""
    for number, source in enumerate((done, checkpoints(done))):
        here, theirs = make_workspace(tmp_path / str(number)), tmp_path / f"theirs {number}"
        shutil.copytree(source, theirs)
        next(theirs.rglob("step_000009.pt")).unlink()
        assert main(["train", "--workspace", str(here), "--resume", str(theirs)]) == 0
        told = capsys.readouterr().err
        assert "goes on from 2 checkpoints of " in told
        assert "train: 1/9 steps" not in told
        assert history(here) == history(done)
        assert not list(here.rglob("*.writing"))


def test_other_settings_and_other_data_are_named(done: Path, tmp_path: Path, capsys: Captured) -> None:
    here = make_workspace(tmp_path / "here", seed=1, learning_rate_max=0.01, checkpoint_limit=4)
    assert main(["train", "--workspace", str(here), "--resume", str(done)]) == 1
    told = capsys.readouterr().err
    assert 'checkpoints of another training; got train.learning_rate_max is "auto" there and 0.01 here; ' in told
    assert "the data differ: features. Use the same settings and data" in told
    assert "checkpoint_limit" not in told
    assert not (here / "artifacts" / "train").exists()


def test_nothing_to_go_on_from(done: Path, tmp_path: Path, capsys: Captured) -> None:
    here = make_workspace(tmp_path / "here", steps=12)
    assert main(["train", "--workspace", str(here), "--resume"]) == 1
    assert "--resume: no checkpoint of these settings, data and code; got none at all" in capsys.readouterr().err
    shutil.copytree(checkpoints(done), here / "checkpoints" / "train-0123456789abcdef")
    assert main(["train", "--workspace", str(here), "--resume"]) == 1
    assert "train-0123456789abcdef: train.steps is 9 there and 12 here" in capsys.readouterr().err
    assert main(["train", "--workspace", str(here), "--resume", str(tmp_path)]) == 1
    assert f"--resume {tmp_path}; got no checkpoints of the stage train" in capsys.readouterr().err
    (here / "checkpoints" / "train-0123456789abcdef" / "origin.json").write_text("{")
    assert main(["train", "--workspace", str(here), "--resume", str(here)]) == 1
    assert "origin.json, which says what they are made of, is missing or damaged" in capsys.readouterr().err


def test_its_own_checkpoints_are_gone_on_from_or_forgotten(done: Path, tmp_path: Path, capsys: Captured) -> None:
    here = tmp_path / "here"
    shutil.copytree(done, here)
    assert main(["train", "--workspace", str(here), "--resume"]) == 0
    assert "/9 steps" not in capsys.readouterr().err, "all of them were done"
    (checkpoints(here) / FRONT_END / "step_000009.pt").write_bytes(b"")
    assert main(["train", "--workspace", str(here), "--overwrite"]) == 0
    told = capsys.readouterr().err
    assert "damaged" not in told
    assert "train: 1/9 steps" in told
    assert history(here) == history(done)
    assert len(checkpoint_paths(checkpoints(here) / FRONT_END)) == 3


def test_the_options_exclude_each_other_and_belong_to_training(capsys: Captured) -> None:
    for arguments in (["train", "--resume", "--overwrite"], ["augment", "--resume"]):
        with pytest.raises(SystemExit):
            main(arguments)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["distill", "--help"])
    assert "Run dvc repro afterwards" in capsys.readouterr().out


def test_nanowakewords_own_words_for_it(done: Path, tmp_path: Path) -> None:
    """``nanowakeword -c params.yaml -T --resume DIR``; DVC records what came out, without another step of training."""
    here = make_workspace(tmp_path / "here")
    (here / ".dvc").mkdir()
    (here / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    train = "exec python -m steps train 2> told.txt\n    deps: [artifacts/features]\n    outs: [artifacts/train]"
    commands = {"features": "echo", "train": train, "finetune": "echo > end.txt\n    deps: [artifacts/train]"}
    stages = "".join(f"  {name}:\n    cmd: {command}\n" for name, command in commands.items())
    (here / "dvc.yaml").write_text(f"stages:\n{stages}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nanowakeword", "-c", "params.yaml", "-T", "--resume", str(done)]
    ran = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "goes on from 3 checkpoints of " in ran.stderr
    assert "/9 steps" not in (here / "told.txt").read_text()
    assert history(here) == history(done)
    assert (here / "end.txt").is_file()
    assert "artifacts/train" in (here / "dvc.lock").read_text()
