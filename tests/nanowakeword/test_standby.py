"""A scorer that sleeps: what it judges, that it judges as if it had never slept, and how much it runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.scorer import Judged, LocalScorer, Scorer
from nanowakeword.standby import GateTrigger, Standby
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from tests.tiny_model import SETTLING_HOPS, silence, tone

HOPS = 60
LOOKBACK, HOLD = 3, 2


class Wishes:
    """A trigger that wants given hops of its stream."""

    context_hops = 1

    def __init__(self, wanted: list[bool]) -> None:
        self._wanted = np.array(wanted, np.bool_)
        self._hops = 0

    def reset(self) -> None:
        self._hops = 0

    def feed(self, hops: Samples) -> NDArray[np.bool_]:
        first, self._hops = self._hops, self._hops + len(hops) // HOP_SAMPLES
        return self._wanted[first : self._hops]


def some_audio(hops: int = HOPS) -> Samples:
    rng = np.random.default_rng(3)
    loudness = np.repeat(rng.uniform(0.0, 1.0, hops), HOP_SAMPLES)
    return np.rint(loudness * tone(hops * HOP_S)).astype(np.int16)


def feed_all(scorer: Scorer, audio: Samples, cuts: list[int]) -> dict[int, float]:
    """Score of each judged hop, the audio being fed in pieces; no hop may be judged twice or out of order."""
    judged: list[Judged] = []
    edges = [0, *sorted(cuts), len(audio) // HOP_SAMPLES]
    for start, end in pairwise(edges):
        judged += scorer.feed(audio[start * HOP_SAMPLES : end * HOP_SAMPLES])
    scores: dict[int, float] = {}
    for piece in judged:
        (values,) = piece.scores.values()
        assert len(values) > 0
        for hop, score in enumerate(values.tolist(), start=piece.first_hop):
            assert hop > max(scores, default=-1)
            scores[hop] = score
    return scores


def standby(scorer: Scorer, wanted: list[bool]) -> Standby:
    return Standby(scorer, Wishes(wanted), hold_s=HOLD * HOP_S, lookback_s=LOOKBACK * HOP_S)


WANTED = st.one_of(
    st.lists(st.booleans(), min_size=HOPS, max_size=HOPS),
    st.sets(st.integers(0, HOPS - 1), max_size=4).map(lambda hops: [hop in hops for hop in range(HOPS)]),
)


@given(wanted=WANTED, cuts=st.lists(st.integers(0, HOPS), max_size=20))
def test_it_judges_what_it_should_as_if_it_never_slept(tiny: Graph, wanted: list[bool], cuts: list[int]) -> None:
    audio = some_audio()
    always = feed_all(LocalScorer([tiny]), audio, [])
    found = feed_all(standby(LocalScorer([tiny]), wanted), audio, cuts)
    due = set[int]()
    for hop in (hop for hop, wish in enumerate(wanted) if wish):
        due |= set(range(max(0, hop - LOOKBACK), min(HOPS, hop + HOLD + 1)))
    assert set(found) == due
    for hop, score in found.items():
        assert score == pytest.approx(always[hop], abs=1e-6)


@given(outer=WANTED, inner=WANTED, cuts=st.lists(st.integers(0, HOPS), max_size=20))
def test_one_within_another(tiny: Graph, outer: list[bool], inner: list[bool], cuts: list[int]) -> None:
    audio = some_audio()
    always = feed_all(LocalScorer([tiny]), audio, [])

    def build() -> Standby:
        return standby(standby(LocalScorer([tiny]), inner), outer)

    found = feed_all(build(), audio, cuts)
    assert found == pytest.approx(feed_all(build(), audio, []), abs=1e-6)
    for hop, score in found.items():
        assert score == pytest.approx(always[hop], abs=1e-6)


def test_it_runs_little_while_asleep(tiny: Graph) -> None:
    hops = 500
    wanted = [hop in (100, 400) for hop in range(hops)]
    sleeper = standby(LocalScorer([tiny]), wanted)
    feed_all(sleeper, some_audio(hops), list(range(hops)))
    assert sleeper.hops == hops
    assert sleeper.run_hops == 2 * (SETTLING_HOPS + LOOKBACK + 1 + HOLD)


def test_short_sleep_misses_nothing(tiny: Graph) -> None:
    """After a sleep that the ring covers, the state is what it would have been, whatever the context."""
    wanted = [hop in (10, 16) for hop in range(HOPS)]
    sleeper = standby(LocalScorer([tiny]), wanted)
    feed_all(sleeper, some_audio(), [])
    assert sleeper.run_hops == 1 + 16 + HOLD - (10 - SETTLING_HOPS - LOOKBACK)


def test_reset_is_like_new(tiny: Graph) -> None:
    wanted = [hop % 9 == 0 for hop in range(HOPS)]
    sleeper = standby(LocalScorer([tiny]), wanted)
    first = feed_all(sleeper, some_audio(), [5, 7])
    sleeper.reset()
    assert (sleeper.hops, sleeper.run_hops) == (0, 0)
    assert feed_all(sleeper, some_audio(), [11]) == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("times", [{"hold_s": -0.1}, {"lookback_s": -1.0}])
def test_bad_times(tiny: Graph, times: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="bad time of a standby"):
        Standby(LocalScorer([tiny]), Wishes([]), **times)


def test_gate(tiny: Graph) -> None:
    gate = GateTrigger(tiny, threshold=0.49)
    assert not gate.feed(silence(0.8)).any()
    assert gate.score == 0.0
    wanted = gate.feed(tone(8 * HOP_S))
    assert wanted.tolist() == [False, True, True, True, True, True, True, True]
    assert gate.score == pytest.approx(1.0, abs=1e-3)
    assert gate.feed(silence(0.0)).shape == (0,)
    assert gate.score == 0.0
    gate.reset()
    assert not gate.feed(tone(HOP_S)).any()
    assert GateTrigger(tiny).threshold == tiny.card.threshold
    with pytest.raises(ConfigError, match="bad threshold"):
        GateTrigger(tiny, threshold=1.5)
