"""Every architecture on every front end: what a row of the table promises, tested the day it is added."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import cast, get_args

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import models
from models.catalogue import catalogue_text, count_parameters, macs_per_second, paper
from models.detector import Detector, DetectorConfig
from models.frontends.table import FRONT_ENDS
from models.sizes import ACTIVATIONS, MAX_BLOCKS, SIZES, Pooling, SizeName, activations, choose_network
from models.streaming import Head
from models.table import ARCHITECTURES, build_head
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_SAMPLES
from steps.int8 import quantise_weights
from steps.onnx_files import export_heads

CASES = [(architecture, frontend) for architecture in ARCHITECTURES for frontend in FRONT_ENDS]
# Files of the package that hold no architecture.
OTHERS = {
    *("__init__", "attention", "body", "catalogue", "detector", "head", "heads_only", "package_cache", "pooling"),
    *("frames", "recurrent", "sizes", "streaming", "table", "weights"),
}
RECURRENT = {"crnn", "gru", "lstm", "rnn"}
INT8_TOLERANCE = 0.05  # of the largest logit
MEMBERS = 2
HOPS = 24


@cache
def toy(
    architecture: str,
    frontend: str,
    members: int = MEMBERS,
    n_blocks: int = 2,
    pooling: Pooling = "average_max",
    embedding_dim: int | None = None,
) -> Head:
    """A small head in evaluation mode, with statistics that are not those of the first step; not to be changed."""
    torch.manual_seed(3)
    network = choose_network(
        architecture, layer_size=8, n_blocks=n_blocks, pooling=pooling, embedding_dim=embedding_dim
    )
    head = build_head(network, form=FRONT_ENDS[frontend], members=members, dropout_prob=0.3)
    for module in cast(nn.Module, head).modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
    cast(nn.Module, head).eval()
    return head


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, Head]:
    architecture, frontend = request.param
    return frontend, toy(architecture, frontend)


def noise(frontend: str, *, streams: int, hops: int, seed: int = 0) -> Tensor:
    row = FRONT_ENDS[frontend]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(streams, hops * row.frames_per_hop, row.n_features, generator=generator)


def random_cuts(seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return sorted(rng.choice(np.arange(1, HOPS), size=rng.integers(1, 9), replace=False).tolist())


def test_tables_and_folder_agree() -> None:
    files = {path.stem for path in Path(models.__path__[0]).glob("*.py")} - OTHERS
    assert files == set(ARCHITECTURES) == set(SIZES)
    assert len(ARCHITECTURES) == 12


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_first_line_cites_the_paper(architecture: str) -> None:
    authors, link = paper(architecture)
    assert authors[-4:].isdigit() or "20" in authors
    assert link.startswith("https://")


def test_the_readme_says_what_the_code_does() -> None:
    """Papers, streaming forms, parameters and cost of every size on every front end."""
    text = (Path(models.__path__[0]) / "README.md").read_text("utf-8")
    assert text.endswith(catalogue_text()), "run python -m models.catalogue"


@pytest.mark.parametrize("frontend", FRONT_ENDS)
def test_sizes_grow_and_stay_small(frontend: str) -> None:
    for architecture in ARCHITECTURES:
        networks = [choose_network(architecture, size=size) for size in get_args(SizeName)]
        tiny, small, medium = (
            count_parameters(build_head(network, form=FRONT_ENDS[frontend], members=1)) for network in networks
        )
        assert 2_000 < tiny < 40_000, architecture
        assert 1.4 * tiny < small < 105_000, architecture
        assert 1.4 * small < medium < 250_000, architecture


def test_macs_are_those_of_a_layer_counted_by_hand() -> None:
    head = build_head(choose_network("gru", layer_size=10, n_blocks=1), form=FRONT_ENDS["speech_embedding"], members=2)
    per_hop = 2 * (3 * 10 * (96 + 10) + 20)  # gates, then the logit of averages and maxima
    assert macs_per_second(head, frontend="speech_embedding") == pytest.approx(per_hop * 12.5)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'lstmm'.*gru, lstm, "):
        choose_network("lstmm")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
class TestKnobs:
    """They mean the same everywhere, or are refused."""

    def size(self, architecture: str, **knobs: int) -> int:
        network = choose_network(architecture, size="tiny", **knobs)  # type: ignore[arg-type]
        return count_parameters(build_head(network, form=FRONT_ENDS["speech_embedding"], members=1))

    def test_wider_and_deeper_is_more(self, architecture: str) -> None:
        assert self.size(architecture, layer_size=8) < self.size(architecture, layer_size=16)
        assert self.size(architecture, n_blocks=2) < self.size(architecture, n_blocks=3)
        for wrong in (0, MAX_BLOCKS + 1):
            with pytest.raises(ConfigError, match=f"n_blocks.*got {wrong}.*1 to {MAX_BLOCKS}"):
                choose_network(architecture, n_blocks=wrong)

    def test_the_deepest_leaves_room_to_pool(self, architecture: str) -> None:
        for frontend, row in FRONT_ENDS.items():
            network = choose_network(architecture, layer_size=4, n_blocks=MAX_BLOCKS)
            head = build_head(network, form=FRONT_ENDS[frontend], members=1)
            window = noise(frontend, streams=1, hops=30)[:, : head.window_frames]
            assert head.window_frames <= row.context_frames
            features = noise(frontend, streams=1, hops=3)
            head.score_window(window)
            assert head(features, torch.zeros(1, head.state_size))[0].shape == (1, 3)
            assert head.window_hops >= 3

    def test_an_embedding_is_one_more_layer(self, architecture: str) -> None:
        network = choose_network(architecture, layer_size=8, embedding_dim=5)
        head = cast(nn.Module, build_head(network, form=FRONT_ENDS["speech_embedding"], members=3))
        assert cast(nn.Conv1d, head.embed).weight.shape[0] == 3 * 5
        assert cast(nn.Conv1d, head.out).weight.shape == (3, 5, 1)

    def test_an_activation_is_used_or_refused(self, architecture: str) -> None:
        if not activations(architecture):
            with pytest.raises(ConfigError, match=f"activation_function; got 'gelu'; expected null: {architecture}"):
                choose_network(architecture, activation_function="gelu")
            return
        answers = []
        for function in ACTIVATIONS:
            torch.manual_seed(0)
            network = choose_network(architecture, layer_size=8, activation_function=function)
            head = build_head(network, form=FRONT_ENDS["speech_embedding"], members=1)
            window = noise("speech_embedding", streams=2, hops=16)[:, : head.window_frames]
            cast(nn.Module, head).eval()
            answers.append(head.score_window(window))
        assert not torch.equal(answers[0], answers[1])
        assert not torch.equal(answers[1], answers[2])

    def test_dropout_works_in_training_only(self, architecture: str) -> None:
        head = toy(architecture, "speech_embedding")
        window = noise("speech_embedding", streams=4, hops=16)[:, : head.window_frames]
        assert torch.equal(head.score_window(window), head.score_window(window))
        training = copy.deepcopy(cast(nn.Module, head))
        for module in training.modules():  # dropout alone: statistics of the batch stay out of it
            module.training = isinstance(module, nn.Dropout | nn.Dropout1d)
        assert not torch.equal(cast(Head, training).score_window(window), cast(Head, training).score_window(window))


@torch.no_grad()
def test_any_chunking_gives_the_same_logits(case: tuple[str, Head]) -> None:
    frontend, head = case
    r = FRONT_ENDS[frontend].frames_per_hop
    features = noise(frontend, streams=2, hops=HOPS)
    whole, final = head(features, torch.zeros(2, head.state_size))
    assert whole.shape == (2, HOPS)
    for cuts in (random_cuts(1), random_cuts(2), list(range(1, HOPS))):
        state, parts = torch.zeros(2, head.state_size), []
        for start, stop in zip([0, *cuts], [*cuts, HOPS], strict=True):
            logits, state = head(features[:, start * r : stop * r], state)
            assert state.shape == (2, head.state_size)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(state, final, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_streams_in_a_batch_do_not_meet(case: tuple[str, Head]) -> None:
    frontend, head = case
    features = noise(frontend, streams=3, hops=6)
    together, _ = head(features, torch.zeros(3, head.state_size))
    alone = torch.cat([head(features[i : i + 1], torch.zeros(1, head.state_size))[0] for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_future_changes_nothing(case: tuple[str, Head]) -> None:
    """No architecture looks ahead; and the present counts."""
    frontend, head = case
    r = FRONT_ENDS[frontend].frames_per_hop
    features = noise(frontend, streams=1, hops=20)
    changed = features.clone()
    changed[:, 12 * r :] += 5.0
    zeros = torch.zeros(1, head.state_size)
    before, after = head(features, zeros)[0], head(changed, zeros)[0]
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.equal(before[:, 12], after[:, 12])


@pytest.mark.parametrize(("architecture", "frontend"), CASES)
@torch.no_grad()
def test_the_window_of_training_is_the_stream_of_serving(architecture: str, frontend: str) -> None:
    """Recurrent layers remember more than a window: they are compared from the start of the stream."""
    head, row = toy(architecture, frontend), FRONT_ENDS[frontend]
    hops = -(-head.window_frames // row.frames_per_hop)
    ends = [hops] if architecture in RECURRENT else [hops, hops + 1, hops + 4]
    features = noise(frontend, streams=2, hops=hops + 4)
    logits, _ = head(features, torch.zeros(2, head.state_size))
    for end in ends:
        window = features[:, end * row.frames_per_hop - head.window_frames : end * row.frames_per_hop]
        expected = head.score_window(window).mean(dim=1)
        torch.testing.assert_close(logits[:, end - 1], expected, atol=1e-5, rtol=1e-5)


def test_gradient_reaches_every_parameter(case: tuple[str, Head]) -> None:
    frontend, head = case
    network = copy.deepcopy(cast(nn.Module, head)).train()
    window = noise(frontend, streams=8, hops=22)[:, : head.window_frames]
    logits = cast(Head, network).score_window(window)
    assert logits.shape == (8, MEMBERS)
    logits.square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_members_are_independent(case: tuple[str, Head]) -> None:
    """The gradient of one member's logit stays in its share of the weights."""
    frontend, head = case
    network = copy.deepcopy(cast(nn.Module, head))
    window = noise(frontend, streams=4, hops=22)[:, : head.window_frames]
    cast(Head, network).score_window(window)[:, 0].sum().backward()
    touched = np.concatenate(
        [
            (p.grad if p.grad is not None else torch.zeros_like(p)).abs().flatten().numpy() > 0
            for p in network.parameters()
        ]
    )
    assert 0.2 < touched.mean() < 0.501


class Several(nn.Module):
    """Heads on the same features, so that one export, which takes seconds, serves them all."""

    def __init__(self, heads: list[Head]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(cast(nn.Module, head) for head in heads)
        self.sizes = [head.state_size for head in heads]

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[b, heads, k]``."""
        parts = torch.split(state, self.sizes, dim=1)
        answers = [head(features, part) for head, part in zip(self.heads, parts, strict=True)]
        return torch.stack([logits for logits, _ in answers], dim=1), torch.cat([after for _, after in answers], dim=1)


@pytest.mark.parametrize("number", range(len(FRONT_ENDS)), ids=list(FRONT_ENDS))
def test_the_exported_file_computes_the_same(number: int, tmp_path: Path) -> None:
    """Each architecture on one of the front ends; whole, and streamed in random pieces; and with weights in 8 bits."""
    frontend, row = list(FRONT_ENDS.items())[number]
    names = [name for place, name in enumerate(ARCHITECTURES) if place % len(FRONT_ENDS) == number]
    several = Several([toy(name, frontend, members=1, n_blocks=1) for name in names]).eval()
    size = sum(several.sizes)
    export_heads(
        several,
        tmp_path / "several.onnx",
        feature_shape=(row.frames_per_hop, row.n_features),
        state_size=size,
        opset=18,
    )
    session = ort.InferenceSession(str(tmp_path / "several.onnx"), providers=["CPUExecutionProvider"])
    operators = {node.op_type for node in onnx.load(tmp_path / "several.onnx").graph.node}
    assert not operators & {"Loop", "Scan", "If"}
    features = noise(frontend, streams=3, hops=HOPS)
    with torch.no_grad():
        expected = several(features, torch.zeros(3, size))[0].numpy()
    r = row.frames_per_hop
    for cuts in ([], random_cuts(5), random_cuts(6)):
        state, parts = np.zeros((3, size), np.float32), []
        for start, stop in zip([0, *cuts], [*cuts, HOPS], strict=True):
            piece = features[:, start * r : stop * r].numpy()
            score, state = session.run(["score", "next_state"], {"features": piece, "state": state})
            parts.append(score)
        np.testing.assert_allclose(np.concatenate(parts, axis=2), expected, atol=1e-4, rtol=0)
    quantise_weights(tmp_path / "several.onnx", tmp_path / "int8.onnx")
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    (rounded,) = session.run(["score"], {"features": features.numpy(), "state": np.zeros((3, size), np.float32)})
    for logits, exact, name in zip(np.swapaxes(rounded, 0, 1), np.swapaxes(expected, 0, 1), names, strict=True):
        assert 0 < np.abs(logits - exact).max() <= INT8_TOLERANCE * np.abs(exact).max(), name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_weights_and_configuration_come_back_without_pickle(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = choose_network(architecture, layer_size=8, n_blocks=2, embedding_dim=4)
    detector = Detector(DetectorConfig(frontends=("logmel",), networks=(network,), members=2))
    detector.settle_silence()
    torch.save(detector.save_state(), tmp_path / "detector.pt")
    again = Detector.from_saved(torch.load(tmp_path / "detector.pt", weights_only=True))
    assert again.config == detector.config
    audio = torch.randint(-3_000, 3_000, (1, 5 * HOP_SAMPLES), dtype=torch.int16)
    zeros = torch.zeros(1, detector.state_size)
    assert torch.equal(again(audio, zeros)[0], detector(audio, zeros)[0])
