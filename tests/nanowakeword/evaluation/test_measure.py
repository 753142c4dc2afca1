from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Floats
from nanowakeword.evaluation.false_accepts import FalseAccepts
from nanowakeword.evaluation.measure import det_curve, miss_rate, point_at, point_for_budget, threshold_for_budget
from nanowakeword.evaluation.scoring import Scores, StreamScores, clip_peaks
from nanowakeword.evaluation.streams import Placement
from nanowakeword.postfilter import PostFilter
from nanowakeword.timing import HOP_SAMPLES

values = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.5001, 0.9, 1.0]), st.floats(0, 1, width=32))
streams_of_scores = st.lists(
    st.lists(values, min_size=1, max_size=50).map(lambda items: np.array(items, np.float32)), min_size=1, max_size=4
)


def scored(streams: list[Floats], *, hours: float = 1.0) -> Scores:
    """Scores of streams of one recording each, which begins with the stream."""
    return Scores(
        streams=tuple(
            StreamScores(
                scores=scores,
                placements=(Placement(name=str(number), index=number, start=0, stop=len(scores) * HOP_SAMPLES),),
            )
            for number, scores in enumerate(streams)
        ),
        n_recordings=len(streams),
        seconds=hours * 3600,
        left_out=(),
    )


def count_live(streams: list[Floats], threshold: float, refractory_s: float) -> int:
    """Events of the runtime's own filter."""
    return sum(len(PostFilter().push(s, threshold=threshold, refractory_s=refractory_s)) for s in streams)


@given(
    streams=streams_of_scores,
    threshold=st.one_of(st.floats(0.01, 1.0), values.filter(lambda value: value > 0)),
    refractory_s=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_false_accepts_are_the_events_of_the_runtime(
    streams: list[Floats], threshold: float, refractory_s: float
) -> None:
    false_accepts = FalseAccepts(scored(streams), refractory_s=refractory_s)
    live = count_live(streams, threshold, refractory_s)
    assert false_accepts.count(threshold) == live
    assert len(false_accepts.events(threshold)) == live
    assert false_accepts.count(threshold, at_most=2) == min(live, 3)


@settings(max_examples=200)
@given(streams=streams_of_scores, max_count=st.integers(0, 6))
def test_the_lowest_threshold_is_the_lowest(streams: list[Floats], max_count: int) -> None:
    false_accepts = FalseAccepts(scored(streams), refractory_s=0.4)
    threshold = false_accepts.lowest_threshold(max_count)
    if threshold is None:
        assert false_accepts.count(1.0) > max_count
        return
    assert 0.0 < threshold <= 1.0
    assert false_accepts.count(threshold) <= max_count
    # Every score below it, but for the margin, would be too many.
    lower = [float(v) for s in streams for v in s if 0.0 < v < threshold]
    if lower:
        assert false_accepts.count(max(lower)) > max_count or threshold - max(lower) <= 2e-4


def test_thresholds_have_few_digits_and_keep_a_margin() -> None:
    false_accepts = FalseAccepts(scored([np.array([0.31234567, 0.9], np.float32)]), refractory_s=0.0)
    assert false_accepts.lowest_threshold(1) == 0.3124
    assert false_accepts.lowest_threshold(0) == pytest.approx(0.9001, abs=1e-4)
    assert false_accepts.lowest_threshold(2) == 0.0001
    close = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    threshold = FalseAccepts(scored([close]), refractory_s=0.0).lowest_threshold(1)
    assert threshold is not None
    assert close[0] < threshold <= float(close[1])


def test_no_threshold_where_one_is_reached_too_often() -> None:
    stuck = FalseAccepts(scored([np.ones(100, np.float32)]), refractory_s=1.0)
    assert stuck.count(1.0) == 8
    assert stuck.lowest_threshold(7) is None
    assert stuck.lowest_threshold(8) == 0.0001
    point = point_for_budget(stuck, {"clean": np.ones(5, np.float32)}, fa_per_hour=2.0)
    assert point.threshold is None
    assert point.misses["clean"].rate == 1.0
    assert point.false_accepts.count == 8
    assert point.note == "even a threshold of 1 accepts more"


def test_refractory_time_does_not_reach_into_the_next_stream() -> None:
    streams = [np.array([0, 0, 1], np.float32), np.array([1, 0, 0], np.float32)]
    assert FalseAccepts(scored(streams), refractory_s=10.0).count(0.5) == 2


def test_false_accepts_name_the_recording_and_the_time() -> None:
    scores = np.zeros(60, np.float32)
    scores[[5, 6, 40]] = 0.6, 0.9, 0.7
    places = (
        Placement(name="a", index=0, start=3 * HOP_SAMPLES, stop=20 * HOP_SAMPLES),
        Placement(name="b", index=1, start=30 * HOP_SAMPLES, stop=50 * HOP_SAMPLES),
    )
    whole = Scores(
        streams=(StreamScores(scores=scores, placements=places),), n_recordings=2, seconds=3600.0, left_out=()
    )
    first, second = FalseAccepts(whole, refractory_s=1.0).events(0.5)
    assert first.name == "a"
    assert first.score == pytest.approx(0.9)
    assert first.at_s == pytest.approx(3 * 0.08)
    assert second.name == "b"
    assert second.score == pytest.approx(0.7)
    assert second.at_s == pytest.approx(11 * 0.08)


def test_a_hit_is_a_peak_in_the_clip_or_in_its_tail() -> None:
    # 10 hops of gap, a clip of 10 hops that begins within hop 10, and silence.
    start = 10 * HOP_SAMPLES + 5
    place = Placement(name="a", index=0, start=start, stop=start + 10 * HOP_SAMPLES)

    def peak(hop: int, tail_s: float) -> float:
        scores = np.zeros(40, np.float32)
        scores[hop] = 1.0
        whole = Scores(
            streams=(StreamScores(scores=scores, placements=(place,)),), n_recordings=1, seconds=0.8, left_out=()
        )
        return float(clip_peaks(whole, tail_s=tail_s)[0])

    assert [hop for hop in range(40) if peak(hop, 0.0)] == list(range(10, 20))
    # 0.5 s are 6.25 hops; the clip ends 5 samples into hop 20.
    assert [hop for hop in range(40) if peak(hop, 0.5)] == list(range(10, 26))


def test_a_clip_shorter_than_a_hop_still_has_a_peak() -> None:
    place = Placement(name="a", index=0, start=100, stop=200)
    stream = StreamScores(scores=np.array([0.3, 0.4], np.float32), placements=(place,))
    whole = Scores(streams=(stream,), n_recordings=1, seconds=0.1, left_out=())
    assert clip_peaks(whole, tail_s=0.0).tolist() == pytest.approx([0.3])


def test_misses_are_peaks_below_the_threshold() -> None:
    peaks = np.array([0.1, 0.5, 0.9, 1.0], np.float32)
    assert [miss_rate(peaks, t).count for t in (0.05, 0.5, 0.51, 1.0)] == [0, 1, 2, 3]
    assert miss_rate(peaks, None).count == 4
    # float32(0.9) is a little less than 0.9, for the runtime as well.
    assert miss_rate(peaks, 0.9).count == 3


def test_a_budget_allows_the_false_accepts_that_fit_its_hours() -> None:
    scores = np.zeros(100, np.float32)
    scores[::20] = [0.5, 0.6, 0.7, 0.8, 0.9]
    false_accepts = FalseAccepts(scored([scores], hours=4.0), refractory_s=1.0)
    peaks = {"clean": np.array([0.55, 0.65, 0.95], np.float32), "babble 10 dB": np.array([0.2, 0.3, 0.75], np.float32)}
    counts = {}
    for budget in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0):
        threshold = threshold_for_budget(false_accepts, budget)
        assert threshold is not None
        counts[budget] = false_accepts.count(threshold)
    assert counts == {0.1: 0, 0.2: 0, 0.25: 1, 0.5: 2, 1.0: 4, 2.0: 5}
    point = point_for_budget(false_accepts, peaks, fa_per_hour=0.5)
    assert point.threshold == pytest.approx(0.7001, abs=1e-4)
    assert (point.name, point.budget_fa_per_hour, point.note) == ("0.5 per hour", 0.5, None)
    assert (point.false_accepts.count, point.false_accepts.rate) == (2, 0.5)
    assert {name: rate.count for name, rate in point.misses.items()} == {"clean": 2, "babble 10 dB": 2}
    tight = point_for_budget(false_accepts, peaks, fa_per_hour=0.1)
    assert tight.note is not None
    assert "4 h are too few" in tight.note
    assert f"fewer than {-math.log(0.05) / 4:.2g} per hour" in tight.note
    given_point = point_at(false_accepts, peaks, threshold=0.6, name="model's own")
    assert (given_point.name, given_point.budget_fa_per_hour, given_point.false_accepts.count) == (
        "model's own",
        None,
        4,
    )


@settings(max_examples=30, deadline=None)
@given(streams=streams_of_scores, seed=st.integers(0, 100))
def test_the_curve_is_monotone(streams: list[Floats], seed: int) -> None:
    peaks = np.random.default_rng(seed).random(20).astype(np.float32)
    curve = det_curve(FalseAccepts(scored(streams), refractory_s=1.0), {"clean": peaks})
    thresholds = [point.threshold for point in curve]
    assert thresholds == sorted(set(thresholds), reverse=True)
    rates = [point.fa_per_hour for point in curve]
    assert rates == sorted(rates)
    misses = [point.miss_rate["clean"] for point in curve]
    assert misses == sorted(misses, reverse=True)
