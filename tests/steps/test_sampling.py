"""ISBL draws what its equation says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from nanowakeword.errors import ConfigError
from steps.sampling import LossAwareSampler


def make(n: int = 12, count: int = 1, *, alpha: float = 0.75, cap: float | None = None) -> LossAwareSampler:
    pools = np.zeros(n, dtype=np.int8)
    rng = np.random.default_rng(5)
    return LossAwareSampler(pools, {"a": count}, names=["a"], rng=rng, alpha=alpha, epsilon=1e-6, loss_cap=cap)


def test_probabilities_follow_the_equation() -> None:
    sampler = make(n=3)
    rows = np.arange(3)
    sampler.update(rows, np.array([0.0, 0.5, 2.0]))
    expected = np.array([0.0, 0.5, 2.0]) ** 0.75 + 1e-6
    np.testing.assert_allclose(sampler.probabilities(rows), expected / expected.sum())


def test_draws_follow_the_probabilities() -> None:
    sampler = make(n=12)
    rows = np.arange(12)
    sampler.update(rows, np.linspace(0.05, 3.0, 12))
    n_draws = 20_000
    counts = np.bincount(np.concatenate([sampler.draw() for _ in range(n_draws)]), minlength=12)
    assert chisquare(counts, n_draws * sampler.probabilities(rows)).pvalue > 1e-3


def test_sampling_without_replacement_is_that_of_multinomial() -> None:
    """The chance of each pair is that of drawing one, then another from what is left."""
    sampler = make(n=4, count=2)
    sampler.update(np.arange(4), np.array([0.2, 0.5, 1.0, 2.0]))
    p = sampler.probabilities(np.arange(4))
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    expected = np.array([p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]) for i, j in pairs])
    n_draws = 20_000
    drawn = [tuple(sorted(sampler.draw())) for _ in range(n_draws)]
    counts = np.array([drawn.count(pair) for pair in pairs])
    assert chisquare(counts, n_draws * expected).pvalue > 1e-3


def test_all_rows_are_seen_at_first_and_a_mastered_one_still_is() -> None:
    sampler = make(n=50, count=10)
    assert len(np.unique(np.concatenate([sampler.draw() for _ in range(100)]))) == 50
    sampler.update(np.arange(50), np.full(50, 0.0))
    np.testing.assert_allclose(sampler.probabilities(np.arange(50)), 1 / 50)


def test_a_batch_has_its_composition_and_repeats_only_in_small_pools() -> None:
    pools = np.array([0] * 30 + [1] * 4 + [2] * 20)
    sampler = LossAwareSampler(
        pools,
        {"a": 8, "b": 6, "c": 0},
        names=["a", "b", "c"],
        rng=np.random.default_rng(1),
        alpha=0.75,
        epsilon=1e-6,
        loss_cap=None,
    )
    for _ in range(20):
        rows = sampler.draw()
        assert np.bincount(pools[rows], minlength=3).tolist() == [8, 6, 0]
        assert len(set(rows[:8])) == 8


def test_the_cap_keeps_unlearnable_rows_from_running_the_batches() -> None:
    capped, free = make(n=10, cap=2.0), make(n=10)
    for sampler in (capped, free):
        sampler.update(np.arange(10), np.array([50.0] + [1.0] * 9))
    assert capped.probabilities(np.arange(10))[0] < 0.2 < free.probabilities(np.arange(10))[0]


def test_an_empty_pool_is_an_error_that_names_it() -> None:
    rng = np.random.default_rng(0)
    assert (
        len(
            LossAwareSampler(
                np.zeros(5, np.int8),
                {"a": 2, "noise": 0, "neighbour": 0},
                names=["a", "noise"],
                rng=rng,
                alpha=1.0,
                epsilon=1e-6,
                loss_cap=None,
            ).draw()
        )
        == 2
    )
    with pytest.raises(ConfigError, match="'noise'"):
        LossAwareSampler(
            np.zeros(5, np.int8), {"noise": 2}, names=["a", "noise"], rng=rng, alpha=1.0, epsilon=1e-6, loss_cap=None
        )
