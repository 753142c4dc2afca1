"""Heads that score each frame and take the best: every architecture, as streamed as in training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from models.frontends.table import FRONT_ENDS
from models.streaming import Head
from models.table import ARCHITECTURES
from steps.onnx_files import export_heads
from tests.models.test_architectures import HOPS, MEMBERS, RECURRENT, Several, noise, random_cuts, toy

# Each on one of the front ends, those of several frames a hop included.
CASES = [(name, list(FRONT_ENDS)[place % len(FRONT_ENDS)]) for place, name in enumerate(ARCHITECTURES)]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, str, Head]:
    architecture, frontend = request.param
    return architecture, frontend, toy(architecture, frontend, pooling="max", embedding_dim=8)


@torch.no_grad()
def test_batch_is_streamed(case: tuple[str, str, Head]) -> None:
    _, frontend, head = case
    r = FRONT_ENDS[frontend].frames_per_hop
    features = noise(frontend, streams=2, hops=HOPS)
    whole, _ = head(features, torch.zeros(2, head.state_size))
    cuts, state, parts = random_cuts(3), torch.zeros(2, head.state_size), []
    for start, stop in zip([0, *cuts], [*cuts, HOPS], strict=True):
        part, state = head(features[:, start * r : stop * r], state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_window_has_the_score_of_its_best_frame(case: tuple[str, str, Head]) -> None:
    """And it is the one that the stream has at the window's end."""
    architecture, frontend, head = case
    r = FRONT_ENDS[frontend].frames_per_hop
    hops = -(-head.window_frames // r)
    features = noise(frontend, streams=2, hops=hops + 4)
    logits, _ = head(features, torch.zeros(2, head.state_size))
    for end in [hops] if architecture in {*RECURRENT, "crnn"} else [hops, hops + 1, hops + 4]:
        window = features[:, end * r - head.window_frames : end * r]
        expected = head.score_window(window).mean(dim=1)
        torch.testing.assert_close(logits[:, end - 1], expected, atol=1e-5, rtol=1e-5)


def test_the_loss_is_taken_at_one_frame(case: tuple[str, str, Head]) -> None:
    """Its gradient reaches every parameter, and of the frames' logits only each member's best."""
    _, frontend, head = case
    network = copy.deepcopy(cast(nn.Module, head)).train()
    seen: list[torch.Tensor] = []
    cast(nn.Module, network.out).register_forward_hook(lambda _module, _given, answer: seen.append(answer))
    window = noise(frontend, streams=8, hops=22)[:, : head.window_frames]
    logits = cast(Head, network).score_window(window)
    frames = seen[0]
    frames.retain_grad()
    assert frames.shape[:2] == logits.shape == (8, MEMBERS)
    assert frames.shape[2] > 1
    logits.square().sum().backward()
    assert frames.grad is not None
    assert torch.equal(frames.grad.abs() > 0, frames == frames.amax(dim=2, keepdim=True))
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("frontend", FRONT_ENDS)
def test_the_exported_file_computes_the_same(frontend: str, tmp_path: Path) -> None:
    names = [name for name, of in CASES if of == frontend]
    several = Several([toy(name, frontend, members=2, n_blocks=1, pooling="max") for name in names]).eval()
    size, row = sum(several.sizes), FRONT_ENDS[frontend]
    shape = (row.frames_per_hop, row.n_features)
    export_heads(several, tmp_path / "several.onnx", feature_shape=shape, state_size=size, opset=18)
    session = ort.InferenceSession(str(tmp_path / "several.onnx"), providers=["CPUExecutionProvider"])
    features, r = noise(frontend, streams=3, hops=HOPS), row.frames_per_hop
    with torch.no_grad():
        expected = several(features, torch.zeros(3, size))[0].numpy()
    state, parts, cuts = np.zeros((3, size), np.float32), [], random_cuts(5)
    for start, stop in zip([0, *cuts], [*cuts, HOPS], strict=True):
        piece = features[:, start * r : stop * r].numpy()
        score, state = session.run(["score", "next_state"], {"features": piece, "state": state})
        parts.append(score)
    np.testing.assert_allclose(np.concatenate(parts, axis=2), expected, atol=1e-4, rtol=0)
