"""Fine-tuning: front ends learn with their heads, resume to the same bits, are never taken for the packaged ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from models.detector import Detector, DetectorConfig
from models.frontends.table import FRONT_ENDS, build_front_end
from models.sizes import choose_network
from models.streaming import Head
from nanowakeword.errors import ConfigError, DependencyError
from nanowakeword.timing import HOP_SAMPLES
from steps.card import first_card
from steps.closure import CHECKOUT
from steps.end_to_end import EndToEnd
from steps.export import check_parity
from steps.features import FeatureExtractor
from steps.int8 import quantise_weights
from steps.onnx_files import export_detector, write_card
from steps.overlay import dump_tree, lay_over, load_tree
from steps.settings import load_settings, parse_settings
from steps.stage import run_stage
from steps.store import RowReader, RowWriter
from steps.teacher import checkpoint_logits
from steps.training import train_head
from steps.validation import score_detector
from tests.steps.toy_features import POOLS, write_features

PRETRAINED = ("speech_embedding", "wakehubert")
HOPS = 24
TCN = choose_network("tcn", layer_size=4, n_blocks=1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_detector(*frontends: str, fusion: Any = "average") -> Detector:
    torch.manual_seed(1)
    networks = (TCN,) if fusion == "joined" else (TCN,) * len(frontends)
    try:
        detector = Detector(DetectorConfig(frontends=frontends, networks=networks, members=1, fusion=fusion))
    except DependencyError as error:
        pytest.skip(str(error))
    for head in detector.heads:
        cast(Any, head).deviation.fill_(8.0)
    detector.settle_silence()
    return detector


def windows_of(labels: np.ndarray[Any, Any], *, seed: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Noise; of the phrase with a tone in the middle."""
    rng = np.random.default_rng(seed)
    audio = rng.normal(0, 300, (len(labels), HOPS * HOP_SAMPLES))
    middle = slice(12 * HOP_SAMPLES, 18 * HOP_SAMPLES)
    audio[:, middle] += 4_000.0 * labels[:, None] * np.sin(0.4 * np.arange(6 * HOP_SAMPLES))
    return audio.astype(np.int16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with windows and an averaged detector."""
    detector = make_detector("speech_embedding", "logmel")
    (tmp_path / "artifacts" / "average").mkdir(parents=True)
    torch.save(detector.save_state(), tmp_path / "artifacts" / "average" / "detector.pt")
    with RowWriter(tmp_path / "artifacts" / "augment" / "windows.zarr") as store:
        for number, split in enumerate(("train", "validation")):
            pools = np.arange(16, dtype=np.int8) % 4
            labels = (pools == 0).astype(np.int8)
            store.attributes[split] = {"pools": POOLS}
            for name, rows in (
                ("audio", windows_of(labels, seed=number)),
                ("label", labels),
                ("pool", pools),
                ("clip", np.arange(16, dtype=np.int32)),
            ):
                store.append(f"{split}/{name}", rows)
    set_up(tmp_path, ["speech_embedding"])
    return tmp_path


def set_up(root: Path, frontends: list[str], **train: Any) -> None:
    tree = load_tree(CHECKOUT / "params.yaml")
    changes = {
        "features": {"frontends": ["speech_embedding", "logmel"]},
        "train": {
            "batch_composition": {"positive": 2, "partial": 1, "speech": 1, "noise": 0, "neighbour": 0},
            "checkpoint_every_steps": 2,
            "ema_decay": 0.5,
            **train,
        },
        "finetune": {"frontends": frontends, "steps": 4, "learning_rate_max": 0.001},
        "distill": {"layer_size": 4, "steps": 4},
    }
    lay_over(tree, changes, known={})
    (root / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")


def tuned_of(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = root / "artifacts" / "finetune"
    return torch.load(folder / "detector.pt", weights_only=True), json.loads((folder / "finetuning.json").read_text())


def state_of(detector: Detector, place: int) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in detector.frontends[place].state_dict().items()}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_untuned_it_hears_what_the_stage_features_stores(name: str) -> None:
    network = EndToEnd(make_detector(name), 0)
    windows = windows_of(np.array([0, 1]), seed=3)
    stored = FeatureExtractor(FRONT_ENDS[name])(windows).astype(np.float32)
    frames = cast(Head, network.head).window_frames
    with torch.no_grad():
        heard = network.features(torch.from_numpy(windows)[:, :, None].float()).to(torch.float16).float().numpy()
    np.testing.assert_allclose(heard, stored[:, -frames:], atol=1e-3, rtol=2e-3)  # one step of float16
    assert stored.std() > 0.1


def test_a_detector_says_of_windows_what_it_streams(root: Path) -> None:
    """By its heads with their front ends, and by the graph that is exported."""
    detector = make_detector("speech_embedding", "logmel")
    windows = RowReader(root / "artifacts" / "augment" / "windows.zarr" / "validation")
    with torch.no_grad():
        streamed = detector(torch.from_numpy(windows["audio"].all()), torch.zeros(16, detector.state_size))[0][:, -1]
    np.testing.assert_allclose(score_detector(detector, windows), torch.logit(streamed).numpy(), atol=1e-3)
    np.testing.assert_allclose(checkpoint_logits(detector, windows), torch.logit(streamed).numpy(), atol=1e-3)


@pytest.mark.parametrize("fusion", ["average", "joined"])
def test_the_chosen_front_end_learns_and_nothing_else_of_front_ends_moves(fusion: str) -> None:
    detector = make_detector("speech_embedding", "wakehubert", fusion=fusion)
    before = [state_of(detector, place) for place in range(2)]
    for number in range(len(detector.heads)):
        network = EndToEnd(detector, number, tuned=["wakehubert"]).train()
        assert not any(module.training for module in network.frontends.modules())
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        audio = torch.from_numpy(windows_of(np.array([0, 1]), seed=4))[:, :, None].float()
        network.score_window(audio).square().sum().backward()
        optimizer.step()
    learning = dict(detector.frontends[1].named_parameters())
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in learning.values())
    assert all(weights.grad is not None for weights in detector.heads.parameters())
    for place in range(2):
        for key, value in state_of(detector, place).items():
            moves = place == 1 and key in learning
            assert torch.equal(value, before[place][key]) != moves, key


def test_the_front_ends_that_have_weights_are_those_that_may_be_tuned() -> None:
    for name in FRONT_ENDS:
        try:
            has_weights = bool(list(build_front_end(name).parameters()))
        except DependencyError as error:
            pytest.skip(str(error))
        assert has_weights == (name in PRETRAINED)


def test_by_default_the_averaged_detector_is_handed_on(root: Path) -> None:
    set_up(root, [])
    run_stage("finetune", root=root)
    files = {path.name: path.read_bytes() for path in (root / "artifacts" / "finetune").iterdir()}
    assert files == {"detector.pt": (root / "artifacts" / "average" / "detector.pt").read_bytes()}


def test_a_killed_run_goes_on_to_the_same_bits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = shutil.copytree(root, root.parent / "straight")
    run_stage("finetune", root=straight)
    steps_done = 0
    score_window = EndToEnd.score_window

    def dies(network: EndToEnd, samples: Tensor) -> Tensor:
        nonlocal steps_done
        steps_done += network.training
        if network.training and steps_done == 4:
            raise KeyboardInterrupt
        return score_window(network, samples)

    with monkeypatch.context() as patch:
        patch.setattr(EndToEnd, "score_window", dies)
        with pytest.raises(KeyboardInterrupt):
            run_stage("finetune", root=root)
    steps_done = 4
    with monkeypatch.context() as patch:
        patch.setattr(EndToEnd, "score_window", dies)
        run_stage("finetune", root=root)
    assert steps_done == 6, "the first two of four steps are in the checkpoint"
    (weights, report), (expected, told) = tuned_of(root), tuned_of(straight)
    assert report == told
    assert report["kept"] == ["speech_embedding"]
    assert weights["config"] == expected["config"]
    for key, value in expected["state_dict"].items():
        assert torch.equal(weights["state_dict"][key], value), key


def test_what_validation_likes_less_is_not_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoils(head: Any, job: Any, **options: Any) -> Any:
        trained = train_head(head, job, **options)
        for entry in trained.history:
            entry["miss_rate"] = 2.0
        return trained

    monkeypatch.setattr("steps.finetune.train_head", spoils)
    run_stage("finetune", root=root)
    weights, report = tuned_of(root)
    assert (report["kept"], report["heads"]["speech_embedding"]["kept"]) == ([], False)
    averaged = torch.load(root / "artifacts" / "average" / "detector.pt", weights_only=True)
    assert all(torch.equal(value, averaged["state_dict"][key]) for key, value in weights["state_dict"].items())


def tuned_detector() -> Detector:
    """As fine-tuning leaves one: weights of its own for one front end, the packaged ones for the other."""
    detector = make_detector("speech_embedding", "logmel")
    detector.config = replace(detector.config, tuned=("speech_embedding",))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weights in detector.frontends[0].parameters():
            weights.add_(0.02 * weights.std() * torch.randn(weights.shape, generator=generator))
    detector.settle_silence()
    return detector


@pytest.mark.parametrize("is_tuned", [False, True])
def test_a_tuned_teacher_hears_the_windows(root: Path, is_tuned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The features that are stored are not its own."""
    teacher = tuned_detector() if is_tuned else make_detector("speech_embedding", "logmel")
    (root / "artifacts" / "finetune").mkdir()
    torch.save(teacher.save_state(), root / "artifacts" / "finetune" / "detector.pt")
    write_features(root / "artifacts" / "features" / "features.zarr", frontends=("speech_embedding", "logmel"), rows=16)
    heard = []

    def listen(detector: Detector, data: RowReader) -> Any:
        heard.append((detector.config.tuned, "audio" in data))
        return checkpoint_logits(detector, data)

    monkeypatch.setattr("steps.distill.checkpoint_logits", listen)
    run_stage("distill", root=root)
    assert heard == [(("speech_embedding",), True) if is_tuned else ((), False)]
    assert (root / "artifacts" / "distill" / "gate.pt").is_file()


def test_tuned_weights_are_saved_and_demanded(tmp_path: Path) -> None:
    detector = tuned_detector()
    torch.save(detector.save_state(), tmp_path / "detector.pt")
    saved = torch.load(tmp_path / "detector.pt", weights_only=True)
    again = Detector.from_saved(saved)
    assert again.config == detector.config
    assert not any(weights.requires_grad for weights in again.frontends.parameters())
    for key, value in detector.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert not any(key.startswith("frontends.1.") for key in saved["state_dict"])
    del saved["state_dict"]["frontends.0.weights.3"]
    with pytest.raises(ValueError, match=r"weights do not fit the configuration: frontends\.0\.weights\.3"):
        Detector.from_saved(saved)


def test_whole_is_streamed_is_exported(tmp_path: Path) -> None:
    detector, path = tuned_detector(), tmp_path / "tuned.onnx"
    export_detector(detector, path, state_size=detector.state_size, opset=18)
    settings = load_settings(CHECKOUT / "params.yaml")
    write_card(path, first_card(detector, settings, kind="detector", model_name="tuned"))
    assert check_parity(detector, path, seed=0, tolerance=1e-4) <= 1e-4
    quantise_weights(path, tmp_path / "tuned_int8.onnx")
    audio = torch.from_numpy(windows_of(np.array([1]), seed=5))
    with torch.no_grad():
        packaged = make_detector("speech_embedding", "logmel")(audio, torch.zeros(1, detector.state_size))[0]
        tuned = detector(audio, torch.zeros(1, detector.state_size))[0]
    assert float((tuned - packaged).abs().max()) > 1e-3, "the comparison would prove nothing"


def test_the_card_says_so() -> None:
    settings = load_settings(CHECKOUT / "params.yaml")
    detectors = make_detector("speech_embedding", "logmel"), tuned_detector(), tuned_detector()
    with torch.no_grad():
        next(detectors[2].frontends[0].parameters()).mul_(1.001)
    cards = [first_card(one, settings, kind="detector", model_name="m")["frontends"] for one in detectors]
    packaged, tuned, otherwise = ([row["fingerprint"] for row in card] for card in cards)
    assert packaged == [FRONT_ENDS["speech_embedding"].fingerprint, FRONT_ENDS["logmel"].fingerprint]
    assert len({packaged[0], tuned[0], otherwise[0]}) == 3
    assert packaged[1] == tuned[1] == otherwise[1]
    assert cards[1][0]["finetuned"] is True
    assert (cards[1][0]["licence"], cards[1][0]["source"]) == (cards[0][0]["licence"], cards[0][0]["source"])
    assert not any("finetuned" in row for row in (*cards[0], cards[1][1]))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"frontends": ["logmel"]}, r"finetune\.frontends: got \['logmel'\]; expected front ends that have weights"),
        ({"frontends": ["wakehubert", "wakehubert"]}, r"finetune\.frontends: got .*; expected each front end once"),
        ({"frontends": ["hubert"]}, r"finetune\.frontends\S*: got 'hubert'; expected 'logmel', 'speech_embedding' or"),
        (
            {"frontends": ["wakehubert"]},
            r"finetune\.frontends: got wakehubert; expected some of features\.front",
        ),
        ({"steps": 0}, r"finetune\.steps: got 0; expected greater than 0"),
        ({"learning_rate_max": 0.0}, r"finetune\.learning_rate_max: got 0\.0; expected greater than 0"),
        ({"steps": 20, "frontends": ["speech_embedding"]}, r"fewer than train.steps and .*finetune\.steps, 20"),
    ],
)
def test_settings_of_it(edits: dict[str, Any], message: str) -> None:
    tree = load_tree(CHECKOUT / "params.yaml")
    train = {"lr_scheduler_type": "cosine", "warmup_steps": 20} if edits.get("steps") else {}
    lay_over(tree, {"features": {"frontends": ["speech_embedding"]}, "train": train, "finetune": edits}, known={})
    with pytest.raises(ConfigError, match=message):
        parse_settings(dump_tree(tree), source="params.yaml")
