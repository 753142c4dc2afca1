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
    MAX_SMOOTHING,
    REFRACTORY_S,
    Event,
    PostFilter,
    check_patience,
    check_rearm,
    check_refractory,
    check_smoothing,
    check_threshold,
    refractory_hops,
)

scores_lists = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=60).map(
    lambda values: np.array(values, np.float32)
)
settings_of_filters = st.fixed_dictionaries(
    {
        "smoothing": st.integers(1, 5),
        "patience": st.integers(1, 4),
        "refractory_s": st.sampled_from([0.0, 0.08, 0.2, 0.4, 1.0]),
        "rearm_below": st.sampled_from([None, 0.1, 0.25]),
    }
)


def curve(*parts: tuple[float, int]) -> Floats:
    """Scores made of (value, number of hops)."""
    return np.concatenate([np.full(hops, value, np.float32) for value, hops in parts])


def events(scores: Floats, **options: Any) -> list[Event]:
    return PostFilter().push(scores, **{"threshold": 0.5, **options})


def hops(scores: Floats, **options: Any) -> list[int]:
    return [event.hop for event in events(scores, **options)]


def by_definition(
    scores: list[float | None],
    *,
    threshold: float,
    smoothing: int = 1,
    patience: int = 1,
    refractory_s: float = REFRACTORY_S,
    rearm_below: float | None = None,
) -> list[Event]:
    """The rule of the module's first lines, word by word; None is a hop that was never judged."""
    smooth: list[float | None] = []
    for hop, score in enumerate(scores):
        window: list[float] = []
        for earlier in reversed(scores[max(0, hop + 1 - smoothing) : hop + 1]):
            if earlier is None:
                break
            window.append(earlier)
        smooth.append(None if score is None else sum(window) / len(window))
    found: list[Event] = []
    for hop in range(patience - 1, len(smooth)):
        run = [score for score in smooth[hop - patience + 1 : hop + 1] if score is not None and score >= threshold]
        if len(run) < patience:
            continue
        if found:
            since = smooth[found[-1].hop + 1 : hop]
            if hop - found[-1].hop < refractory_hops(refractory_s):
                continue
            if rearm_below is not None and not any(score is None or score < rearm_below for score in since):
                continue
        found.append(Event(hop, max(run)))
    return found


@given(
    scores=scores_lists,
    threshold=st.sampled_from([0.25, 0.3, 0.5, 0.75, 1.0]),
    options=settings_of_filters,
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_any_cutting_follows_the_rule(
    scores: Floats, threshold: float, options: dict[str, Any], cuts: list[int]
) -> None:
    post_filter = PostFilter()
    found: list[Event] = []
    for piece in np.split(scores, sorted(cuts)):
        found += post_filter.push(piece, threshold=threshold, **options)
    assert found == by_definition(scores.tolist(), threshold=threshold, **options)
    assert post_filter.hops == len(scores)


@given(
    scores=st.lists(st.floats(0.0, 1.0, width=32), max_size=40).map(lambda values: np.array(values, np.float32)),
    options=settings_of_filters,
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_any_cutting_of_any_scores_gives_the_same_events(
    scores: Floats, options: dict[str, Any], cuts: list[int]
) -> None:
    post_filter = PostFilter()
    found = [
        event for piece in np.split(scores, sorted(cuts)) for event in post_filter.push(piece, threshold=0.5, **options)
    ]
    assert found == events(scores, **options)


@given(pieces=st.lists(scores_lists | st.integers(0, 20), max_size=8), options=settings_of_filters)
def test_hops_that_were_never_judged_follow_the_rule(pieces: list[Floats | int], options: dict[str, Any]) -> None:
    post_filter = PostFilter()
    found: list[Event] = []
    whole: list[float | None] = []
    for piece in pieces:
        if isinstance(piece, int):
            post_filter.skip(piece)
            whole += [None] * piece
        else:
            found += post_filter.push(piece, threshold=0.5, **options)
            whole += piece.tolist()
    assert found == by_definition(whole, threshold=0.5, **options)
    assert post_filter.hops == len(whole)


@given(scores=scores_lists, options=settings_of_filters)
def test_a_higher_threshold_never_gives_more_events(scores: Floats, options: dict[str, Any]) -> None:
    counts = [len(events(scores, threshold=threshold, **options)) for threshold in (0.25, 0.5, 0.6, 0.75, 1.0)]
    assert counts == sorted(counts, reverse=True)


def test_smoothing_is_the_mean_of_the_last_hops() -> None:
    blip = curve((0.0, 10), (0.75, 1), (0.0, 10))
    assert hops(blip) == [10]
    assert hops(blip, smoothing=2) == []
    assert hops(blip, smoothing=3, threshold=0.25) == [10]  # and 11 and 12, within the refractory time
    assert hops(blip, smoothing=4, threshold=0.25) == []
    ramp = np.array([0.0, 0.25, 0.5, 0.75, 1.0], np.float32)
    assert events(ramp, smoothing=3, threshold=0.75) == [Event(4, 0.75)]


def test_smoothing_at_a_streams_start_takes_what_there_is() -> None:
    assert events(curve((1.0, 1)), smoothing=5) == [Event(0, 1.0)]
    assert hops(curve((0.0, 1), (1.0, 3)), smoothing=5, threshold=0.6) == [2]  # 0, 1/2, 2/3


def test_smoothing_forgets_what_left_its_window() -> None:
    long = curve((1.0, 500), (0.0, 3), (1.0, 1))
    assert hops(long, smoothing=3, threshold=0.3, refractory_s=0.0)[-3:] == [500, 501, 503]
    assert hops(curve((0.0, 500), (1.0, MAX_SMOOTHING)), smoothing=MAX_SMOOTHING, threshold=1.0) == [599]


def test_smoothing_that_changes_between_pushes_sees_only_what_it_was_given() -> None:
    post_filter = PostFilter()
    assert post_filter.push(curve((0.0, 9)), threshold=0.5, smoothing=3) == []
    assert post_filter.push(curve((0.0, 9)), threshold=0.5) == []
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, smoothing=3) != []  # nothing of 9 hops ago


def test_patience_takes_smoothed_scores() -> None:
    flicker = np.tile(np.array([0.9, 0.3], np.float32), 10)
    assert hops(flicker, patience=3) == []
    assert hops(flicker, patience=3, smoothing=2)[0] == 2


def test_hysteresis_waits_for_the_fall() -> None:
    stuck = curve((0.0, 5), (0.9, 100), (0.375, 10), (0.9, 10), (0.1, 1), (0.9, 10))
    assert hops(stuck)[:4] == [5, 18, 31, 44]
    assert hops(stuck, rearm_below=0.5) == [5, 115, 126 + 2]  # the last waits for the refractory time, too
    assert hops(stuck, rearm_below=0.375) == [5, 126]  # 0.375 is not below 0.375
    assert hops(stuck, rearm_below=0.1) == [5]


def test_a_fall_within_the_refractory_time_is_a_fall() -> None:
    double = curve((0.9, 2), (0.1, 2), (0.9, 30))
    assert hops(double, rearm_below=0.3) == [0, 13]
    assert hops(double, rearm_below=0.3, refractory_s=0.0) == [0, 4]


def test_hysteresis_takes_smoothed_scores() -> None:
    dip = curve((0.9, 20), (0.0, 1), (0.9, 20))
    assert hops(dip, rearm_below=0.3) == [0, 21]
    assert hops(dip, rearm_below=0.3, smoothing=3) == [0]


def test_a_fall_in_a_long_quiet_push_rearms() -> None:
    post_filter = PostFilter()
    found = [
        event.hop
        for piece in (
            curve((0.9, 1)),
            curve((0.4, 20)),
            curve((0.9, 1)),
            curve((0.4, 9), (0.1, 1), (0.4, 9)),
            curve((0.9, 1)),
        )
        for event in post_filter.push(piece, threshold=0.5, rearm_below=0.3)
    ]
    assert found == [0, 41]


def test_hysteresis_holds_for_events_that_fired_while_it_was_on() -> None:
    post_filter = PostFilter()
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=0.0) != []
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=0.0, rearm_below=0.3) != []
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=0.0, rearm_below=0.3) == []
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=0.0) != []


@pytest.mark.parametrize("refractory_s", [0.5, 4.0, 60.0, 3_600.0])
def test_the_refractory_time_may_be_of_any_length(refractory_s: float) -> None:
    found = hops(np.ones(100_000, np.float32), refractory_s=refractory_s)
    assert set(np.diff(found)) == {refractory_hops(refractory_s)}


def test_all_filters_together() -> None:
    phrase, echo = curve((0.2, 5), (0.7, 6), (0.2, 5)), curve((0.2, 3), (0.6, 2), (0.2, 3))
    options = {"smoothing": 3, "patience": 2, "refractory_s": 0.4, "rearm_below": 0.25}
    # Smoothed: 0.2, 0.37, 0.53, 0.7 ...: hop 6 is the first over 0.5, hop 7 the second in a row.
    assert hops(np.concatenate([phrase, echo, phrase]), **options) == [7, 16 + 8 + 7]


def test_a_skip_ends_a_run_and_empties_the_window_and_lets_the_clock_go_on() -> None:
    post_filter = PostFilter()
    assert post_filter.push(curve((0.9, 2)), threshold=0.5, patience=3) == []
    post_filter.skip(5)
    assert [event.hop for event in post_filter.push(curve((0.9, 4)), threshold=0.5, patience=3)] == [9]

    post_filter = PostFilter()
    post_filter.push(curve((0.0, 9)), threshold=0.5, smoothing=5)
    post_filter.skip(1)
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, smoothing=5)[0].hop == 10

    post_filter = PostFilter()
    post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=1.0)
    post_filter.skip(11)
    assert post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=1.0) == []  # 12 hops later
    assert [event.hop for event in post_filter.push(curve((0.9, 1)), threshold=0.5, refractory_s=1.0)] == [13]


def test_for_hysteresis_a_skip_is_a_fall_and_no_skip_is_none() -> None:
    for skipped, fires in ((1, True), (0, False)):
        post_filter = PostFilter()
        options: dict[str, Any] = {"threshold": 0.5, "refractory_s": 0.0, "rearm_below": 0.3}
        assert len(post_filter.push(curve((0.9, 3)), **options)) == 1
        post_filter.skip(skipped)
        assert bool(post_filter.push(curve((0.9, 1)), **options)) == fires


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


@pytest.mark.parametrize("value", [0, -1, 1.5, MAX_SMOOTHING + 1, "3", None, True])
def test_smoothing_that_makes_no_sense(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"bad smoothing; got .*; expected 1 to 100 hops"):
        check_smoothing(value)


@pytest.mark.parametrize("value", [0.0, -0.1, 0.51, float("nan"), float("inf"), "0.3", None, True])
def test_hysteresis_that_makes_no_sense(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"bad rearm_below; got .*; expected .* at most the threshold, 0\.5$"):
        check_rearm(value, threshold=0.5)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan"), "1", None])
def test_refractory_times_that_make_no_sense(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"bad refractory time; got .*; expected 0 seconds or more"):
        check_refractory(value)


def test_numbers_of_numpy_are_numbers() -> None:
    assert check_threshold(np.float64(0.5)) == 0.5
    assert check_threshold(np.float32(0.5)) == 0.5  # type: ignore[arg-type]
    assert check_patience(np.int64(3)) == 3  # type: ignore[arg-type]
    assert check_smoothing(np.int64(3)) == 3  # type: ignore[arg-type]
    assert check_refractory(np.float64(0.0)) == 0.0
    assert check_rearm(np.float64(0.5), threshold=0.5) == 0.5
