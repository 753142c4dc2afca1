"""From features to files: BC-ResNet, which has every kind of norm, through the stages; and the same in 8 bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from models.detector import Detector, DetectorConfig
from models.sizes import choose_network
from nanowakeword.errors import ModelError
from nanowakeword.evaluation import Recording
from nanowakeword.graph import Graph
from steps.int8 import check_int8
from steps.onnx_files import read_card
from steps.stage import run_stage
from tests.steps.toy import workspace
from tests.steps.toy_features import write_features

NAME = "hey_nano"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which everything but the training of a gate has run."""
    train: dict[str, Any] = {
        "architecture": "bcresnet",
        "steps": 6,
        "layer_size": 8,
        "n_blocks": 1,
        "members": 1,
        "batch_composition": {"positive": 8, "partial": 4, "speech": 4, "noise": 4, "neighbour": 0},
        "checkpoint_every_steps": 2,
    }
    changes = {"features": {"frontends": ["logmel"]}, "train": train, "export": {"int8": True}}
    root = workspace(tmp_path_factory.mktemp("workspace"), changes, each=2)
    write_features(root / "artifacts" / "features" / "features.zarr", frontends=("logmel",), rows=60)
    for stage, file, facts in (
        ("phrases", "phrases.json", {"phonemes": "hei nano"}),
        ("synthesize", "summary.json", {"clips": {"toy": 12}, "voices": {"train": ["a"]}, "licences": ["CC0-1.0"]}),
        ("corpus", "summary.json", {"hours": {}, "training_sources": [], "warnings": []}),
    ):
        (root / "artifacts" / stage).mkdir(exist_ok=True)
        (root / "artifacts" / stage / file).write_text(json.dumps(facts), encoding="utf-8")
    run_stage("train", root=root)
    run_stage("average", root=root)
    (root / "artifacts" / "augment").mkdir()  # nothing is fine-tuned
    run_stage("finetune", root=root)
    network = choose_network("tcn", layer_size=4, n_blocks=1)
    gate = Detector(DetectorConfig(frontends=("logmel",), networks=(network,), members=1))
    (root / "artifacts" / "distill").mkdir()
    torch.save(gate.save_state(), root / "artifacts" / "distill" / "gate.pt")
    for stage in ("export", "evaluate", "publish"):
        run_stage(stage, root=root)
    return root


@pytest.fixture
def exported(root: Path) -> Path:
    return root / "artifacts" / "export"


def audio(*, hops: int, seed: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.random.default_rng(seed).normal(0, 2_000, (1, hops * 1_280)).astype(np.int16)


def test_the_files_compute_what_was_trained(exported: Path) -> None:
    detector = Detector.from_saved(torch.load(exported / f"{NAME}.pt", weights_only=True))
    norms = [module for module in detector.heads.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {type(norm) for norm in norms} == {nn.BatchNorm1d, nn.BatchNorm2d}
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_mean.abs().sum() > 0
    graph, heard = Graph.load(exported / f"{NAME}.onnx"), audio(hops=12, seed=1)
    with torch.no_grad():
        expected = detector(torch.from_numpy(heard), torch.zeros(1, detector.state_size))[0].numpy()
    state, scores = graph.zero_state(), []
    for piece in np.split(heard, [1_280, 5 * 1_280], axis=1):
        score, state, _ = graph.run(np.ascontiguousarray(piece), state)
        scores.append(score)
    np.testing.assert_allclose(np.concatenate(scores, axis=1), expected, atol=1e-4, rtol=0)


def test_weights_in_8_bits_score_the_same_or_are_refused(exported: Path) -> None:
    original, path = exported / f"{NAME}.onnx", exported / f"{NAME}_int8.onnx"
    assert path.stat().st_size < 0.6 * original.stat().st_size
    model = onnx.load(path)
    assert [opset.version for opset in model.opset_import] == [18]
    assert {node.domain for node in model.graph.node} == {""}
    kinds = {
        tensor.name.split(".")[-2]: tensor.data_type for tensor in model.graph.initializer if "stored" in tensor.name
    }
    assert (kinds["waves"], kinds["bands"], kinds["weight"]) == (TensorProto.INT16, TensorProto.INT16, TensorProto.INT8)
    recordings = [Recording.of_array(audio(hops=20, seed=seed)[0], name=f"{seed}") for seed in range(4)]
    halves = {"positives": recordings[:2], "negatives": recordings[2:]}
    difference = check_int8(path, original, **halves, tolerance=0.05)
    assert difference > 0.0
    with pytest.raises(ModelError, match=rf"{NAME}_int8.onnx scores otherwise than {NAME}.onnx.*at most"):
        check_int8(path, original, **halves, tolerance=difference / 2)


def test_what_8_bits_change_is_told(root: Path) -> None:
    output, budget = root / "output", "set for 0.5 per hour"
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    card, exact = read_card(output / f"{NAME}_int8.onnx"), read_card(output / f"{NAME}.onnx")
    assert (card["name"], card["weights"]) == (f"{NAME}_int8", "int8; filter banks int16")
    assert card["thresholds"] == metrics["int8"]["thresholds"]
    assert card["threshold"] == card["thresholds"][1]["threshold"]
    assert card["metrics"]["missed_with_float32"][budget].keys() == {"clean", "babble 10 dB"}
    assert "weights" not in exact
    assert [row["fingerprint"] for row in card["frontends"]] == [f"{exact['frontends'][0]['fingerprint']}-int8"]
    report = (output / "report.md").read_text(encoding="utf-8")
    kibibytes = round((output / f"{NAME}_int8.onnx").stat().st_size / 1024)
    assert f"`{NAME}_int8.onnx`, {kibibytes} KiB, weights in 8 bits" in report, "with its final card"
    assert "weights in 8 bits, at its own threshold for 0.5 false accepts per hour" in report
