from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nanowakeword.evaluation.limits import binomial_limits, per_hour, poisson_limits, share


@settings(max_examples=80, deadline=None)
@given(total=st.integers(1, 3_000), data=st.data(), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_clopper_pearson_as_scipy_has_it(total: int, data: st.DataObject, confidence: float) -> None:
    count = data.draw(st.integers(0, total))
    expected = stats.binomtest(count, total).proportion_ci(confidence, method="exact")
    assert binomial_limits(count, total, confidence=confidence) == pytest.approx(
        (expected.low, expected.high), rel=1e-8, abs=1e-14
    )


@settings(max_examples=80, deadline=None)
@given(count=st.integers(0, 50_000), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_garwood_as_scipy_has_it(count: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(1 - tail, 2 * count + 2) / 2
    assert poisson_limits(count, confidence=confidence) == pytest.approx((low, high), rel=1e-8)


def test_ends_that_have_closed_forms() -> None:
    assert binomial_limits(0, 100) == pytest.approx((0.0, 1 - 0.025**0.01))
    assert binomial_limits(100, 100) == pytest.approx((0.025**0.01, 1.0))
    assert binomial_limits(0, 1) == pytest.approx((0.0, 0.975))
    assert poisson_limits(0) == pytest.approx((0.0, -math.log(0.025)))


def test_many_trials_take_no_time() -> None:
    low, high = binomial_limits(50_000, 100_000)
    assert (low, high) == pytest.approx((0.4969, 0.5031), abs=1e-4)


def test_rates() -> None:
    miss = share(3, 300)
    assert (miss.count, miss.total, miss.rate) == (3, 300, 0.01)
    assert miss.low < 0.01 < miss.high
    # Zero in 4.3 h proves fewer than 0.7 an hour with one-sided 95 %, 0.86 with two-sided.
    rate = per_hour(0, 4.3)
    assert (rate.count, rate.total, rate.rate, rate.low) == (0, 4.3, 0.0, 0.0)
    assert rate.high == pytest.approx(0.858, abs=1e-3)
