"""Front ends fused by weights of their heads' logits, or by features joined: trained, streamed, exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from models.detector import Detector, DetectorConfig
from models.frames import join_forms, join_frames
from models.frontends.table import FRONT_ENDS
from models.heads_only import HeadsOnly
from models.sizes import choose_network
from nanowakeword.errors import ConfigError, DependencyError
from nanowakeword.timing import HOP_SAMPLES
from steps.card import first_card
from steps.closure import CHECKOUT
from steps.export import check_parity
from steps.feature_rows import feature_rows, frame_form
from steps.fusion import learn_weights
from steps.onnx_files import export_detector, write_card
from steps.overlay import dump_tree, lay_over, load_tree
from steps.settings import load_settings, parse_settings
from steps.stage import run_stage
from steps.store import RowReader
from tests.steps.toy_features import write_features

NAMES = ("speech_embedding", "logmel")
ROWS = [FRONT_ENDS[name] for name in NAMES]
TCN, GRU = (choose_network(name, layer_size=4, n_blocks=1) for name in ("tcn", "gru"))
CONFIGS = {
    "average": DetectorConfig(frontends=NAMES, networks=(TCN, TCN), members=2),
    "learned, mixed": DetectorConfig(frontends=NAMES, networks=(TCN, GRU), members=1, fusion="learned"),
    "joined": DetectorConfig(frontends=NAMES, networks=(TCN,), members=1, fusion="joined"),
}


def build(name: str) -> Detector:
    torch.manual_seed(1)
    try:
        detector = Detector(CONFIGS[name])
    except DependencyError as error:
        pytest.skip(str(error))
    for head in detector.heads:  # features of silence are far from 0, and so would all logits be
        cast(Any, head).deviation.fill_(8.0)
    if name.startswith("learned"):
        detector.weights = torch.tensor([0.75, 0.25])
    detector.settle_silence()
    return detector


def noise(hops: int, *, streams: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (1_000 * torch.randn(streams, hops * HOP_SAMPLES, generator=generator)).to(torch.int16)


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_whole_is_streamed_and_heads_alone_say_the_same(name: str) -> None:
    detector, audio = build(name), noise(20)
    score, last, features = detector(audio, torch.zeros(2, detector.state_size))
    state, scores = torch.zeros(2, detector.state_size), []
    for piece in torch.split(audio, [hops * HOP_SAMPLES for hops in (1, 7, 2, 10)], dim=1):
        part, state, _ = detector(piece, state)
        scores.append(part)
    assert torch.allclose(torch.cat(scores, dim=1), score, atol=1e-5)
    assert torch.allclose(state, last, atol=2e-2, rtol=1e-4)
    assert features.shape == (2, 20, 96 + 8 * 40)
    heads = HeadsOnly(detector)
    alone, _ = heads(features, torch.zeros(2, heads.state_size))
    assert torch.allclose(alone, score, atol=1e-5)
    assert float(score.std()) > 1e-4, "the comparison would prove nothing"


@pytest.mark.parametrize("name", ["learned, mixed", "joined"])
def test_the_exported_file_computes_it(name: str, tmp_path: Path) -> None:
    detector, path = build(name), tmp_path / "fused.onnx"
    export_detector(detector, path, state_size=detector.state_size, opset=18)
    card = first_card(detector, load_settings(CHECKOUT / "params.yaml"), kind="detector", model_name="fused")
    write_card(path, card)
    assert check_parity(detector, path, seed=0, tolerance=1e-4) <= 1e-4
    assert card["fusion"]["kind"] == CONFIGS[name].fusion
    assert [head["weight"] for head in card["fusion"]["heads"]] == detector.weights.tolist()
    assert card["architecture"]["name"] == ("tcn" if name == "joined" else "tcn + gru")


@torch.no_grad()
def test_a_score_is_that_of_the_weighted_logits() -> None:
    detector, audio = build("learned, mixed"), noise(12)
    zero = torch.zeros(2, detector.state_size)

    def logits(weights: list[float]) -> torch.Tensor:
        detector.weights = torch.tensor(weights)
        return torch.logit(detector(audio, zero)[0].double())

    first, second = logits([1.0, 0.0]), logits([0.0, 1.0])
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(logits([0.75, 0.25]), 0.75 * first + 0.25 * second, atol=1e-4)


def test_saved_and_loaded_it_is_the_same() -> None:
    detector = build("learned, mixed")
    again = Detector.from_saved(json_and_back(detector.save_state()))
    assert again.config == detector.config
    assert torch.equal(again.weights, detector.weights)


def json_and_back(saved: dict[str, Any]) -> dict[str, Any]:
    return {**saved, "config": json.loads(json.dumps(saved["config"]))}


def test_joined_rows_are_what_a_joined_detector_hears(tmp_path: Path) -> None:
    write_features(tmp_path / "store", frontends=NAMES, rows=5)
    data = RowReader(tmp_path / "store" / "train")
    joined = feature_rows(data, "speech_embedding+logmel")
    form = frame_form(data, "speech_embedding+logmel")
    assert form == join_forms(ROWS)
    assert joined.shape == (5, form.context_frames, form.n_features) == (5, 16 * 8, 96 + 40)
    wanted = [4, 0, 4]
    whole_hops = [
        torch.from_numpy(data[row.name].rows(wanted)[:, -16 * row.frames_per_hop :].astype(np.float32)) for row in ROWS
    ]
    np.testing.assert_array_equal(joined.rows(wanted).astype(np.float32), join_frames(whole_hops, ROWS).numpy())


def test_learned_weights_follow_what_a_head_knows() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(2_000) % 2
    truth = 4.0 * labels - 2.0
    good, poor = truth + rng.normal(0, 1.0, 2_000), truth + rng.normal(0, 3.0, 2_000)
    weights = learn_weights(np.stack([good, poor], axis=1), labels)
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] == pytest.approx(0.9, abs=0.05)  # 1 / variance, as for any sum of independent witnesses
    # A head that a regression without bounds would subtract: it has the other's errors and nothing else.
    echo = good - truth
    assert learn_weights(np.stack([good, echo], axis=1), labels)[1] < 0.01


@pytest.mark.parametrize(
    ("train", "folders", "architectures"),
    [
        ({"fusion": "joined"}, ["speech_embedding+logmel"], ["tcn"]),
        ({"fusion": "learned", "architectures": {"logmel": "gru"}}, list(NAMES), ["tcn", "gru"]),
    ],
    ids=["joined", "learned, mixed"],
)
def test_training_and_averaging(
    train: dict[str, Any], folders: list[str], architectures: list[str], tmp_path: Path
) -> None:
    tree = load_tree(CHECKOUT / "params.yaml")
    few: dict[str, Any] = {
        "steps": 10,
        "layer_size": 4,
        "members": 1,
        "batch_composition": {"positive": 8, "partial": 4, "speech": 4, "noise": 4, "neighbour": 0},
        "checkpoint_every_steps": 5,
    }
    lay_over(tree, {"features": {"frontends": list(NAMES)}, "train": {**few, **train}}, known={})
    (tmp_path / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")
    write_features(tmp_path / "artifacts" / "features" / "features.zarr", frontends=NAMES, rows=80)
    run_stage("train", root=tmp_path)
    assert list(json.loads((tmp_path / "artifacts" / "train" / "report.json").read_text())) == folders
    run_stage("average", root=tmp_path)
    detector = Detector.from_saved(torch.load(tmp_path / "artifacts" / "average" / "detector.pt", weights_only=True))
    assert [network.architecture for network in detector.config.networks] == architectures
    assert detector.config.fusion == train["fusion"]
    choice = json.loads((tmp_path / "artifacts" / "average" / "choice.json").read_text())
    assert choice["weights"] == pytest.approx(dict(zip(folders, detector.weights.tolist(), strict=True)))
    assert sum(choice["weights"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fusion: average", "fusion: sum", r"train\.fusion: got 'sum'; expected 'average', 'learned' or 'joined'"),
        (
            "architectures: {}",
            "architectures: {wakehubert: grue}",
            r"train\.architectures: got 'grue'; expected one of",
        ),
        ("architectures: {}", "architectures: {logmel: gru}", r"got logmel; expected some of features\.frontends"),
        ("fusion: average", "fusion: joined", None),
        (
            "pcen: null",
            "pcen: {smoothing: 1.5, alpha: 0.98, delta: 2.0, root: 0.5}",
            r"logmel\.pcen\.smoothing: got 1\.5",
        ),
        ("window_ms: 25", "window_ms: 10", r"features\.logmel: got window_ms 10; expected more than hop_ms, 10"),
        ("hop_ms: 10", "hop_ms: 15", r"features\.logmel\.hop_ms: got 15; expected 5, 10, 20 or 40"),
    ],
)
def test_settings_of_it(old: str, new: str, message: str | None) -> None:
    text = (CHECKOUT / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    if message is None:
        parse_settings(text.replace(old, new), source="params.yaml")
        return
    with pytest.raises(ConfigError, match=message):
        parse_settings(text.replace(old, new), source="params.yaml")
