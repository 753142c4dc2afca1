"""Batches that are read ahead are those that would be read without, also after a resume."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from steps.batches import Batches
from steps.dataset import AdaptiveLossAwareDataset, NpyRows, Source
from steps.sampling import DynamicClassAwareSampler


@pytest.fixture
def features(tmp_path: Path) -> Path:
    values = np.arange(300, dtype=np.float32)[:, None, None] + np.zeros((300, 2, 3), np.float32)
    np.save(tmp_path / "features.npy", values, allow_pickle=False)
    return tmp_path / "features.npy"


def make(features: Path) -> tuple[AdaptiveLossAwareDataset, DynamicClassAwareSampler]:
    data = AdaptiveLossAwareDataset([Source(features=NpyRows(features), pools="speech")])
    return data, DynamicClassAwareSampler(data, {"speech": 40}, seed=1, alpha=1.0, epsilon=1e-6)


def losses_of(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Far apart, so that a batch drawn before they are known is another one."""
    return np.where(rows % 3 == 0, 50.0, 0.01)


def test_a_batch_knows_the_losses_of_the_one_before(features: Path) -> None:
    _, alone = make(features)
    data, sampler = make(features)
    with Batches(data, sampler, frames=2) as batches:
        for _ in range(20):
            rows, batch = batches.take()
            expected = alone.draw()
            np.testing.assert_array_equal(rows, expected)
            np.testing.assert_array_equal(batch, np.broadcast_to(rows[:, None, None], (40, 2, 3)))
            alone.update(expected, losses_of(expected))
            batches.remember(rows, losses_of(rows))


def test_a_batch_stays_as_it_is_while_the_next_one_is_read(features: Path) -> None:
    with Batches(*make(features), frames=2) as batches:
        rows, batch = batches.take()
        batch += 1000.0  # as noise on the features
        batches.remember(rows, losses_of(rows))
        next_rows, next_batch = batches.take()
        np.testing.assert_array_equal(batch, np.broadcast_to(rows[:, None, None] + 1000, (40, 2, 3)))
        np.testing.assert_array_equal(next_batch, np.broadcast_to(next_rows[:, None, None], (40, 2, 3)))


@pytest.mark.parametrize("steps", [0, 7])
def test_it_goes_on_with_the_batch_that_was_begun(features: Path, steps: int) -> None:
    with Batches(*make(features), frames=2) as straight, Batches(*make(features), frames=2) as resumed:
        for _ in range(steps):
            rows, _ = straight.take()
            straight.remember(rows, losses_of(rows))
        file = io.BytesIO()
        torch.save(straight.state_dict(), file)
        file.seek(0)
        resumed.remember(resumed.take()[0], np.ones(40))
        resumed.load_state_dict(torch.load(file, weights_only=True))
        for _ in range(5):
            (rows, batch), (again, same) = straight.take(), resumed.take()
            np.testing.assert_array_equal(rows, again)
            assert torch.equal(batch, same)
            straight.remember(rows, losses_of(rows))
            resumed.remember(again, losses_of(again))


class Torn(NpyRows):
    """A disk that fails."""

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[np.float32]:
        raise OSError(f"rows {indices!r} cannot be read")


def test_what_goes_wrong_in_the_thread_is_told(features: Path) -> None:
    data = AdaptiveLossAwareDataset([Source(features=Torn(features), pools="speech")])
    sampler = DynamicClassAwareSampler(data, {"speech": 40}, seed=1, alpha=1.0, epsilon=1e-6)
    with Batches(data, sampler, frames=2) as batches, pytest.raises(OSError, match="cannot be read"):
        batches.take()
