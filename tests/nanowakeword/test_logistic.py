from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.logistic import Doubles, fit_logistic


def gradient(kernel: Doubles, positive: Doubles, weight: Doubles, penalty: float, alpha: Doubles) -> Doubles:
    p = 1 / (1 + np.exp(-kernel @ alpha))
    return kernel @ (weight * (p - positive) + penalty * alpha)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 30),
    d=st.integers(1, 60),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    penalty=st.sampled_from([0.01, 0.3, 10.0]),
)
def test_the_solution_has_no_slope(seed: int, n: int, d: int, scale: float, penalty: float) -> None:
    random = np.random.default_rng(seed)
    examples = scale * random.normal(size=(n, d)) / np.sqrt(d)
    positive = np.arange(n) < max(1, n // 3)
    weight = random.uniform(0.2, 5.0, n)
    kernel = examples @ examples.T + 1.0
    alpha = fit_logistic(kernel, positive, weight, penalty=penalty)
    slope = gradient(kernel, positive.astype(float), weight, penalty, alpha)
    assert np.abs(slope).max() <= 1e-3 * (1.0 + np.abs(kernel).max())


def test_in_one_dimension_it_finds_the_textbook_answer() -> None:
    # One example of each class at +1 and -1, no bias: the slope is zero where 2 / (1 + e^w) = penalty * w.
    x = np.array([[1.0], [-1.0]])
    alpha = fit_logistic(x @ x.T, np.array([True, False]), np.ones(2), penalty=0.5)
    w = float(alpha @ x[:, 0])
    assert 2 / (1 + np.exp(w)) == pytest.approx(0.5 * w, rel=1e-4)


def test_classes_far_apart_do_not_overflow() -> None:
    x = np.concatenate([np.full(5, 1e3), np.full(5, -1e3)])[:, None]
    alpha = fit_logistic(x @ x.T + 1.0, np.arange(10) < 5, np.ones(10), penalty=1e-3)
    assert np.isfinite(alpha).all()
    log_odds = (x @ x.T + 1.0) @ alpha
    assert (log_odds[:5] > 0).all()
    assert (log_odds[5:] < 0).all()


@pytest.mark.parametrize("seed", [176, 180, 231, 247, 274])
def test_a_step_that_leads_away_is_shortened(seed: int) -> None:
    """Examples with heavy tails, for which Newton's method alone runs off to losses of 1e10 and more."""
    random = np.random.default_rng(seed)
    n, d = int(random.integers(2, 30)), int(random.integers(1, 5))
    examples = random.standard_t(1.2, size=(n, d))
    positive = np.arange(n) < max(1, n // 3)
    weight = random.uniform(0.01, 50, n) ** 2
    penalty = 10 ** random.uniform(-4, 0)
    kernel = examples @ examples.T + 1.0
    log_odds = kernel @ fit_logistic(kernel, positive, weight, penalty=penalty)
    assert weight @ np.logaddexp(0.0, np.where(positive, -log_odds, log_odds)) < weight.sum() * np.log(2.0)
