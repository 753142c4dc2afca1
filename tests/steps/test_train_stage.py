"""The stage train: what it leaves for later stages, for DVC and for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from steps.closure import CHECKOUT
from steps.effective_settings import effective_settings
from steps.overlay import dump_tree, lay_over, load_tree
from steps.progress import Progress
from steps.settings import load_settings
from steps.stage import run_stage
from tests.steps.test_progress import Terminal
from tests.steps.toy_features import write_features

FRONT_ENDS = ["speech_embedding", "wakehubert"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    tree = load_tree(CHECKOUT / "params.yaml")
    train: dict[str, Any] = {
        "steps": 20,
        "layer_size": 4,
        "members": 1,
        "batch_composition": {"positive": 8, "partial": 4, "speech": 4, "noise": 4, "neighbour": 0},
        "checkpoint_every_steps": 5,
        "checkpoint_limit": 3,
    }
    lay_over(tree, {"train": train}, known={})
    (root / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")
    write_features(root / "artifacts" / "features" / "features.zarr", frontends=tuple(FRONT_ENDS), rows=80)
    run_stage("train", root=root)
    return root


def test_it_leaves_weights_figures_and_curves(workspace: Path) -> None:
    out = workspace / "artifacts" / "train"
    report = json.loads((out / "report.json").read_text())
    history = json.loads((out / "history.json").read_text())
    assert list(report) == list(history) == FRONT_ENDS
    for name in FRONT_ENDS:
        assert {path.name for path in (out / name).iterdir()} >= {f"step_0000{step}.pt" for step in (10, 15, 20)}
        of, last = report[name], history[name][-1]
        assert of["steps"] == last["step"] == 20
        assert of["margin"] == pytest.approx(last["positive_logit"] - last["negative_logit"], abs=1e-4)
        assert of["best_miss_rate"] == min(entry["miss_rate"] for entry in history[name])
        rows = list(csv.DictReader((out / "curves" / f"{name}.csv").read_text().splitlines()))
        assert [int(row["step"]) for row in rows] == list(range(1, 21))
        assert float(rows[-1]["stable_loss"]) == pytest.approx(of["stable_loss"], abs=1e-5)
    assert (out / "training.png").stat().st_size > 10_000


def test_the_report_says_what_it_ran_with_and_who_said_so(workspace: Path) -> None:
    text = (workspace / "artifacts" / "train" / "report.md").read_text()
    assert "| train.steps | `20` | user |" in text
    assert '| train.optimizer_type | `"adamw"` | default |' in text
    assert "| train.isbl.alpha | `0.4` | default |" in text
    assert "| speech_embedding | 20 | " in text


def test_dvc_finds_what_it_is_to_show(workspace: Path) -> None:
    shown = YAML(typ="safe", pure=True).load((CHECKOUT / "dvc.yaml").read_text())
    paths = [*shown["metrics"], *(next(iter(plot)) if isinstance(plot, dict) else plot for plot in shown["plots"])]
    for path in paths:
        assert not path.startswith("artifacts/train/") or (workspace / path).exists(), path


def test_settings_of_the_checkout_are_defaults() -> None:
    found = {
        setting.name: setting
        for setting in effective_settings(load_settings(CHECKOUT / "params.yaml"), sections=["train"])
    }
    assert found["train.dropout_prob"] == ("train.dropout_prob", "0.2", "default", "")
    assert "train.seed" not in found


def test_a_terminal_sees_a_table_refreshed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress("train")
    with progress.table():
        for step in (1, 2):
            progress.update(step, 2, unit="steps", note="gru", facts={"loss": f"0.{step}", "validation": "none yet"})
    shown = terminal.getvalue()
    assert "train: gru" in shown
    assert "0.2" in shown
    assert "2/2 steps" in shown
    assert shown.count("\r") + shown.count("\x1b[1A") > 0, "in place"
    progress.update(3, 3, unit="steps", note="plain again")
    assert terminal.getvalue().endswith("plain again\n")


def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr("sys.stderr", log)
    progress = Progress("train")
    with progress.table():
        progress.update(2, 2, unit="steps", note="gru: 0.2", facts={"loss": "0.2"})
    assert log.getvalue() == "train: 2/2 steps  gru: 0.2\n"
