from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanowakeword.arrays import Floats
from nanowakeword.errors import ConfigError
from nanowakeword.postfilter import (
    MAX_PATIENCE,
    Event,
    PostFilter,
    check_patience,
    check_refractory,
    check_threshold,
    refractory_hops,
)

scores_lists = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=60).map(
    lambda values: np.array(values, np.float32)
)


def events(scores: Floats, **options: Any) -> list[Event]:
    return PostFilter().push(scores, **{"threshold": 0.5, **options})


def by_definition(scores: Floats, threshold: float, patience: int, refractory_s: float) -> list[Event]:
    """The rule of the module's first lines, word by word."""
    found: list[Event] = []
    for hop in range(len(scores)):
        window = scores[hop - patience + 1 : hop + 1].tolist() if hop + 1 >= patience else []
        qualifies = bool(window) and min(window) >= threshold
        if qualifies and (not found or hop - found[-1].hop >= refractory_hops(refractory_s)):
            found.append(Event(hop, max(window)))
    return found


@given(
    scores=scores_lists,
    threshold=st.sampled_from([0.25, 0.3, 0.5, 0.75, 1.0]),
    patience=st.integers(1, 4),
    refractory_s=st.sampled_from([0.0, 0.08, 0.2, 0.4, 1.0]),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_any_cutting_follows_the_rule(
    scores: Floats, threshold: float, patience: int, refractory_s: float, cuts: list[int]
) -> None:
    post_filter = PostFilter()
    found: list[Event] = []
    for piece in np.split(scores, sorted(cuts)):
        found += post_filter.push(piece, threshold=threshold, patience=patience, refractory_s=refractory_s)
    assert found == by_definition(scores, threshold, patience, refractory_s)
    assert post_filter.hops == len(scores)


@given(scores=scores_lists, refractory_s=st.sampled_from([0.0, 0.2, 1.0]), patience=st.integers(1, 3))
def test_a_higher_threshold_never_gives_more_events(scores: Floats, refractory_s: float, patience: int) -> None:
    counts = [
        len(events(scores, threshold=threshold, patience=patience, refractory_s=refractory_s))
        for threshold in (0.1, 0.25, 0.5, 0.75, 1.0)
    ]
    assert counts == sorted(counts, reverse=True)


def test_one_second_is_thirteen_hops() -> None:
    assert [event.hop for event in events(np.ones(40, np.float32))] == [0, 13, 26, 39]
    assert [refractory_hops(s) for s in (0.0, 0.08, 0.081, 0.16, 0.24, 0.4, 0.8, 1.0, 2.4)] == [
        1,
        1,
        2,
        2,
        3,
        5,
        10,
        13,
        30,
    ]


def test_a_score_equal_to_the_threshold_fires() -> None:
    assert events(np.array([0.5], np.float32)) == [Event(0, 0.5)]


def test_thresholds_are_compared_as_doubles() -> None:
    # float32(0.9) is a little less than 0.9.
    assert events(np.array([0.9], np.float32), threshold=0.9) == []


def test_an_empty_piece_within_a_run_changes_nothing() -> None:
    post_filter = PostFilter()
    pieces = [np.ones(2, np.float32), np.zeros(0, np.float32), np.ones(1, np.float32)]
    assert [len(post_filter.push(piece, threshold=0.5, patience=3)) for piece in pieces] == [0, 0, 1]


def test_a_run_is_remembered_no_longer_than_needed() -> None:
    post_filter = PostFilter()
    for _ in range(5):
        post_filter.push(np.ones(500, np.float32), threshold=0.5, patience=MAX_PATIENCE)
    assert len(post_filter._run) == MAX_PATIENCE


@pytest.mark.parametrize("value", [0, -0.1, 1.01, float("nan"), float("inf"), "0.5", None, True])
def test_thresholds_that_make_no_sense(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"bad threshold; got .*; expected a number above 0 and at most 1"):
        check_threshold(value)


@pytest.mark.parametrize("value", [0, -1, 1.5, MAX_PATIENCE + 1, "3", None, True])
def test_patience_that_makes_no_sense(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"bad patience; got .*; expected 1 to 100 hops"):
        check_patience(value)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan"), "1", None])
def test_refractory_times_that_make_no_sense(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"bad refractory time; got .*; expected 0 seconds or more"):
        check_refractory(value)


def test_numbers_of_numpy_are_numbers() -> None:
    assert check_threshold(np.float64(0.5)) == 0.5
    assert check_threshold(np.float32(0.5)) == 0.5  # type: ignore[arg-type]
    assert check_patience(np.int64(3)) == 3  # type: ignore[arg-type]
    assert check_refractory(np.float64(0.0)) == 0.0
