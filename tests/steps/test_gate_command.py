"""A gate for an exported detector of which there is nothing but the file: a tiny one that hears a tone of 1 kHz."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.graph import Graph
from steps.__main__ import main
from steps.stage import run_stage
from steps.store import RowWriter
from steps.windows import POOLS
from tests.steps.toy import PHRASE_HZ, tone, workspace
from tests.tiny_model import tiny_card, write_tiny_model

WINDOWS = 60
HOPS = 30
CHANGES: dict[str, dict[str, Any]] = {
    "features": {"frontends": ["logmel"], "gate_frontend": "logmel", "workers": 1},
    "train": {
        "batch_composition": {"positive": 8, "partial": 0, "speech": 8, "noise": 0, "neighbour": 0},
        "checkpoint_every_steps": 20,
        "ema_decay": 0.5,
    },
    "distill": {"steps": 40, "layer_size": 4, "learning_rate_max": 0.01},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose last stage is features: half of its windows end with the phrase, a tone of 1 kHz."""
    root = workspace(tmp_path_factory.mktemp("gate"), CHANGES, each=2)
    spoken = {"clips": {"toy": 12}, "voices": {}, "licences": ["CC0-1.0"]}
    real: dict[str, Any] = {"hours": {}, "training_sources": [], "warnings": []}
    for stage, summary in {"synthesize": spoken, "corpus": real}.items():
        (root / "artifacts" / stage / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    rng = np.random.default_rng(0)
    labels = np.arange(WINDOWS, dtype=np.int8) % 2
    hertz = np.where(labels == 1, PHRASE_HZ, rng.choice([400.0, 2_500.0], WINDOWS))
    audio = np.rint(100 * rng.standard_normal((WINDOWS, HOPS * 1280)))
    audio[:, -10_000:] += [32_767 * tone(0.625, of) for of in hertz]
    with RowWriter(root / "artifacts" / "augment" / "windows.zarr") as store:
        for split in ("train", "validation"):
            store.attributes[split] = {"pools": list(POOLS)}
            store.append(f"{split}/audio", audio.clip(-32_768, 32_767).astype(np.int16))
            store.append(f"{split}/label", labels)
            store.append(f"{split}/pool", np.where(labels == 1, 0, POOLS.index("speech")).astype(np.int8))
            store.append(f"{split}/clip", np.arange(WINDOWS, dtype=np.int32))
    run_stage("features", root=root)
    return root


def test_it_needs_the_file_and_no_training(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_tiny_model(tmp_path / "nano.onnx", tiny_card(phrase="hey nano", name="nano"))
    assert main(["gate", str(model), "--workspace", str(prepared)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"nano.onnx", "nano_lite.onnx"}
    card = Graph.load(tmp_path / "nano_lite.onnx").card
    found = card.content["metrics"]
    assert (card.kind, card.phrase, card.phonemes) == ("gate", "hey nano", "bip")
    assert card.threshold == found["threshold"]
    assert found["verifier_threshold"] == Graph.load(model).card.threshold
    assert (found["test"]["passed"]["clean"]["count"], found["test"]["passed"]["clean"]["total"]) == (2, 2)
    assert found["test"]["duty"]["speech"]["hours"] == found["test"]["duty"]["all"]["hours"] > 0
    assert card.content["training"]["licences"] == ["CC0-1.0"]
    assert f"its threshold, {card.threshold:.4f}" in capsys.readouterr().out


def test_it_says_what_is_wrong(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_tiny_model(tmp_path / "nano.onnx", tiny_card(phrase="hey nano"))
    gate = write_tiny_model(tmp_path / "lite.onnx", tiny_card(phrase="hey nano", kind="gate"))
    empty = workspace(tmp_path / "empty", {}, each=1)
    for arguments, message in {
        (gate, prepared): "got a gate; expected a detector",
        (write_tiny_model(tmp_path / "beep.onnx"), prepared): "hears another phrase; got 'beep'",
        (tmp_path / "none.onnx", prepared): "no model at",
        (model, empty): "not run in",
        (model, tmp_path / "nowhere"): "params.yaml",
    }.items():
        assert main(["gate", str(arguments[0]), "--workspace", str(arguments[1])]) == 1
        assert message in " ".join(capsys.readouterr().err.split())
    assert main(["gate", str(model), "--workspace", str(prepared), "-o", str(tmp_path / "no" / "lite.onnx")]) == 1
    assert "--output; got no folder" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("*_lite.onnx"))
