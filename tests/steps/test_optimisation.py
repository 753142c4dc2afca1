"""Learning rates, optimisers, disturbances: each does what its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nanowakeword.errors import ConfigError
from steps.feature_noise import FeatureNoise, mask_features, mix_rows
from steps.moving_average import MovingAverage
from steps.optimisation import make_optimizer, make_schedule, pick_device
from steps.settings import SpecAugment, Train, load_settings

ROOT = Path(__file__).parents[2]


def settings(**options: Any) -> Train:
    return load_settings(ROOT / "params.yaml").train.model_copy(update=options)


def rates(steps: int = 100, **options: Any) -> np.ndarray[Any, Any]:
    """Learning rate of each step, as shares of the highest allowed."""
    chosen = settings(**options)
    optimizer = make_optimizer(nn.Linear(1, 1), chosen, learning_rate=0.5)
    schedule = make_schedule(optimizer, chosen, learning_rate=0.5, steps=steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"] / 0.5)
        optimizer.step()
        schedule.step()
    return np.array(found)


def test_one_cycle_rises_for_a_third_and_falls_to_nothing() -> None:
    found = rates()
    assert found.max() == pytest.approx(1.0)
    assert 25 <= found.argmax() <= 33
    assert found[0] == pytest.approx(1 / 25)
    assert found[-1] < 1e-4


def test_cosine_warms_up_and_falls_to_nothing() -> None:
    found = rates(lr_scheduler_type="cosine", warmup_steps=9)
    np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10)
    assert (np.diff(found[9:]) < 0).all()
    assert found[9 + 45] == pytest.approx(0.5, abs=0.02)
    assert found[-1] < 0.001
    assert rates(lr_scheduler_type="cosine")[0] == 1.0


def test_cyclic_has_four_triangles_each_half_as_high() -> None:
    found = rates(steps=400, lr_scheduler_type="cyclic")
    np.testing.assert_allclose(found[[50, 150, 250, 350]], 0.1 + 0.9 / 2 ** np.arange(4), atol=1e-6)
    np.testing.assert_allclose(found[[0, 100, 200, 300]], 0.1, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_optimiser_goes_downhill_and_decays(name: str) -> None:
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 4.0)
    optimizer = make_optimizer(weight, settings(optimizer_type=name, weight_decay=0.1), learning_rate=0.02)
    for _ in range(20):  # without any gradient of the loss, what is left is the decay
        weight.weight.grad = torch.zeros(1, 1)
        optimizer.step()
    decayed = weight.weight.item()
    assert decayed < 4.0
    for _ in range(400):
        optimizer.zero_grad()
        ((weight.weight - 1.0) ** 2).sum().backward()
        optimizer.step()
    assert weight.weight.item() == pytest.approx(1.0, abs=0.15)


def test_noise_is_as_strong_as_asked_for_and_another_in_each_batch() -> None:
    torch.manual_seed(0)
    deviations = torch.tensor([0.0, 0.5, 2.0])
    noise = FeatureNoise(deviations, batch_frames=200 * 10, seed=[1, 3])
    batches = [torch.full((200, 10, 3), 7.0) for _ in range(3)]
    for batch in batches:
        noise.add_to(batch)
    torch.testing.assert_close(batches[0].std(dim=(0, 1)), deviations, rtol=0.06, atol=0.0)
    torch.testing.assert_close(batches[0].mean(dim=(0, 1)), torch.full((3,), 7.0), rtol=0.0, atol=0.15)
    assert not any(torch.equal(batches[0], other) for other in batches[1:])
    again = torch.full((200, 10, 3), 7.0)
    torch.manual_seed(0)
    FeatureNoise(deviations, batch_frames=200 * 10, seed=[1, 3]).add_to(again)
    assert torch.equal(again, batches[0])


def test_the_moving_average_is_that_of_torch_and_counters_are_copied() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ours = MovingAverage(network, decay=0.9)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    halfway = None
    for step in range(6):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_()
        network(torch.randn(8, 3))
        if step == 3:
            halfway = MovingAverage(network, decay=0.9)
            halfway.load_state_dict(ours.state_dict())
        for average in (ours, halfway):
            if average is not None:
                average.update()
        theirs.update_parameters(network)
    assert halfway is not None
    averages = ours.network.state_dict()
    counter = "1.num_batches_tracked"
    for name, value in theirs.module.state_dict().items():
        torch.testing.assert_close(averages[name], value if name != counter else torch.tensor(6))
        assert torch.equal(halfway.network.state_dict()[name], averages[name])


def test_masks_hide_stretches_and_leave_the_rest() -> None:
    torch.manual_seed(0)
    batch, filling = torch.ones(400, 20, 12), torch.full((12,), -7.0)
    masked = mask_features(batch, SpecAugment(time_masks=2, frames=5, feature_masks=1, features=4), filling=filling)
    assert set(masked.unique().tolist()) == {-7.0, 1.0}
    frames, features = (masked == -7.0).all(dim=2), (masked == -7.0).all(dim=1)
    torch.testing.assert_close(masked == -7.0, frames.unsqueeze(2) | features.unsqueeze(1))
    assert 0 < frames.sum(dim=1).max() <= 10
    assert 0 < features.sum(dim=1).max() <= 4
    assert frames.any(dim=0).all(), "anywhere"
    edges = (features.int().diff(dim=1) == 1).sum(dim=1) + features[:, 0]
    assert edges.max() <= 1, "one stretch"
    assert (~frames.any(dim=1) & ~features.any(dim=1)).any(), "some rows stay whole"
    whole = mask_features(batch, SpecAugment(time_masks=0, frames=5, feature_masks=0, features=4), filling=filling)
    assert torch.equal(whole, batch)


def test_mixing_keeps_more_of_the_row_than_of_its_partner() -> None:
    torch.manual_seed(0)
    partners, share = mix_rows(500, alpha=0.4)
    assert sorted(partners.tolist()) == list(range(500))
    assert 0.5 <= float(share.min()) < 0.6 < 0.9 < float(share.max()) <= 1.0


def test_a_gpu_that_is_not_there_is_refused_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"train.device; got cuda, and no GPU"):
        pick_device("cuda")
