"""Every architecture on every front end: what a row of the table promises, tested the day it is added."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

import models
from models.frontends.table import FRONT_ENDS
from models.streaming import Head
from models.table import ARCHITECTURES, build_head
from nanowakeword.errors import ConfigError

CASES = [(architecture, frontend) for architecture in ARCHITECTURES for frontend in FRONT_ENDS]
# Files of the package that hold no architecture.
OTHERS = {"__init__", "detector", "heads_only", "pooling", "streaming", "table", "weights"}


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, Head]:
    architecture, frontend = request.param
    torch.manual_seed(3)
    head = build_head(architecture, frontend=frontend, layer_size=8, members=3, dropout_prob=0.3)
    for module in cast(nn.Module, head).modules():
        if isinstance(module, nn.BatchNorm1d):  # statistics that are not those of the first step
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
    cast(nn.Module, head).eval()
    return frontend, head


def noise(frontend: str, *, streams: int, hops: int, seed: int = 0) -> torch.Tensor:
    row = FRONT_ENDS[frontend]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(streams, hops * row.frames_per_hop, row.n_features, generator=generator)


def test_table_and_folder_agree() -> None:
    files = {path.stem for path in Path(models.__path__[0]).glob("*.py")} - OTHERS
    assert files == set(ARCHITECTURES)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'lstmm'.*gru, tcn"):
        build_head("lstmm", frontend="logmel", layer_size=8, members=1)
    with pytest.raises(ConfigError, match=r"'mel'.*logmel"):
        build_head("tcn", frontend="mel", layer_size=8, members=1)


@torch.no_grad()
def test_any_chunking_gives_the_same_logits(case: tuple[str, Head]) -> None:
    frontend, head = case
    r, hops = FRONT_ENDS[frontend].frames_per_hop, 30
    features = noise(frontend, streams=2, hops=hops)
    whole, final = head(features, torch.zeros(2, head.state_size))
    assert whole.shape == (2, hops)
    for cuts in ([1, 2, 3], [7, 19], list(range(1, hops))):
        state, parts = torch.zeros(2, head.state_size), []
        for start, stop in zip([0, *cuts], [*cuts, hops], strict=True):
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
    frontend, head = case
    r = FRONT_ENDS[frontend].frames_per_hop
    features = noise(frontend, streams=1, hops=20)
    changed = features.clone()
    changed[:, 12 * r :] += 5.0
    zeros = torch.zeros(1, head.state_size)
    torch.testing.assert_close(head(features, zeros)[0][:, :12], head(changed, zeros)[0][:, :12])


@torch.no_grad()
def test_the_window_of_training_is_the_stream_of_serving(case: tuple[str, Head]) -> None:
    """A recurrent head remembers more than its window, so it is compared from its start."""
    frontend, head = case
    row = FRONT_ENDS[frontend]
    hops = -(-head.window_frames // row.frames_per_hop)
    features = noise(frontend, streams=2, hops=hops + 4)
    logits, _ = head(features, torch.zeros(2, head.state_size))
    recurrent = any(isinstance(module, nn.GRU) for module in cast(nn.Module, head).modules())
    for end in [hops] if recurrent else range(hops, hops + 4):
        window = features[:, end * row.frames_per_hop - head.window_frames : end * row.frames_per_hop]
        expected = head.score_window(window).mean(dim=1)
        torch.testing.assert_close(logits[:, end - 1], expected, atol=1e-5, rtol=1e-5)


def test_gradient_reaches_every_parameter(case: tuple[str, Head]) -> None:
    frontend, head = case
    network = cast(nn.Module, head).train()
    window = noise(frontend, streams=8, hops=40)[:, : head.window_frames]
    logits = head.score_window(window)
    assert logits.shape == (8, 3)
    logits.square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_members_are_independent(case: tuple[str, Head]) -> None:
    """The gradient of one member's logit stays in a third of the weights."""
    frontend, head = case
    window = noise(frontend, streams=4, hops=40)[:, : head.window_frames].requires_grad_()
    network = cast(nn.Module, head)
    head.score_window(window)[:, 0].sum().backward()
    touched = np.concatenate(
        [
            (p.grad if p.grad is not None else torch.zeros_like(p)).abs().flatten().numpy() > 0
            for p in network.parameters()
        ]
    )
    assert 0.1 < touched.mean() < 0.34


@pytest.mark.parametrize(("architecture", "most"), [("tcn", 70_000), ("gru", 190_000)])
def test_size_of_the_default_head(architecture: str, most: int) -> None:
    head = build_head(architecture, frontend="speech_embedding", layer_size=64, members=1)
    assert 10_000 < sum(p.numel() for p in cast(nn.Module, head).parameters()) < most
