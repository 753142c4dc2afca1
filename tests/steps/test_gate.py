"""The gate's threshold and duty cycle are computed from scores: they must be what a cascade really does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nanowakeword.arrays import Floats, Samples
from nanowakeword.evaluation.limits import share
from nanowakeword.evaluation.scoring import Scores, StreamScores
from nanowakeword.evaluation.streams import Placement
from nanowakeword.scorer import Judged
from nanowakeword.standby import Standby
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from steps.gate import choose_threshold, measure_gate, run_hops, wake_scores
from steps.heard import Heard
from steps.report_card import format_gate

HOPS = 400
CONTEXT_HOPS = 21
TAIL_S = 0.5
NONE = np.zeros(0, np.int16)


class Given:
    """A scorer of known scores, or with a threshold a trigger, that numbers hops by what is written in their audio."""

    cards: dict[str, object] = {}  # noqa: RUF012
    context_hops = CONTEXT_HOPS

    def __init__(self, scores: Floats, *, threshold: float = 0.0) -> None:
        self._scores, self._threshold = scores, threshold
        self.reset()

    def reset(self) -> None:
        self._fed = 0

    def wanted(self, hops: Samples) -> NDArray[np.bool_]:
        return self._scores[hops[::HOP_SAMPLES]] >= self._threshold

    def feed(self, hops: Samples) -> list[Judged]:
        values = self._scores[hops[::HOP_SAMPLES]]
        first, self._fed = self._fed, self._fed + len(values)
        return [Judged(first_hop=first, scores={"given": values})] if len(values) else []


class Opening(Given):
    """The same as a trigger."""

    def feed(self, hops: Samples) -> NDArray[np.bool_]:  # type: ignore[override]
        return self.wanted(hops)


def numbered(hops: int = HOPS) -> Samples:
    return np.repeat(np.arange(hops, dtype=np.int16), HOP_SAMPLES)


def behind(verifier: Floats, gate: Floats, *, threshold: float) -> tuple[Floats, int]:
    """Scores of the verifier behind the gate, 0 where it is not asked, and the hops that it ran."""
    cascade = Standby(Given(verifier), Opening(gate, threshold=threshold))  # type: ignore[arg-type]
    heard = np.zeros(len(verifier), np.float32)
    for judged in cascade.feed(numbered(len(verifier))):
        values = judged.scores["given"]
        heard[judged.first_hop : judged.first_hop + len(values)] = values
    return heard, cascade.run_hops


def sparse(seed: int, hops: int = HOPS) -> Floats:
    """Scores that are high now and then."""
    rng = np.random.default_rng(seed)
    return (rng.random(hops) ** 30).astype(np.float32)


def scores(values: Floats, *clips: tuple[int, int]) -> Scores:
    """One stream with recordings at some hops."""
    places = tuple(
        Placement(name=str(index), index=index, start=start * HOP_SAMPLES, stop=stop * HOP_SAMPLES)
        for index, (start, stop) in enumerate(clips)
    )
    stream = StreamScores(scores=values, placements=places)
    seconds = sum(stop - start for start, stop in clips) * HOP_S
    return Scores(streams=(stream,), n_recordings=len(clips), seconds=seconds, left_out=())


@pytest.mark.parametrize("seed", range(8))
def test_a_clip_passes_up_to_its_wake_score_and_no_further(seed: int) -> None:
    verifier, gate = sparse(seed), sparse(seed + 100)
    clips = [(start, start + 9) for start in range(30, HOPS - 40, 40)]
    wakes = iter(wake_scores(scores(verifier, *clips), scores(gate, *clips), threshold=0.3, tail_s=TAIL_S))
    accepted = 0
    for start, stop in clips:
        hops = slice(start, stop + int(TAIL_S / HOP_S))
        if verifier[hops].max() < 0.3:
            continue
        accepted += 1
        wake = next(wakes)
        assert behind(verifier, gate, threshold=wake)[0][hops].max() >= 0.3
        assert behind(verifier, gate, threshold=np.nextafter(np.float32(wake), np.float32(2)))[0][hops].max() < 0.3
    assert accepted
    assert next(wakes, None) is None


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.9, 2.0])
def test_it_counts_the_hops_that_a_cascade_runs(seed: int, threshold: float) -> None:
    gate = sparse(seed)
    assert run_hops(gate >= threshold, context_hops=CONTEXT_HOPS).sum() == behind(gate, gate, threshold=threshold)[1]


@pytest.mark.parametrize(("clips", "lost"), [(1, 0), (199, 0), (200, 1), (399, 1), (400, 2), (1000, 5)])
def test_the_threshold_is_the_highest_that_passes_enough(clips: int, lost: int) -> None:
    wakes = np.random.default_rng(clips).permutation(np.linspace(0.1, 0.9, clips))
    threshold = choose_threshold(wakes)
    assert (wakes < threshold).sum() == lost
    assert (wakes < np.nextafter(threshold, 2)).sum() == lost + 1
    assert (clips - lost) / clips >= 0.995


def heard(verifier: Floats, gate: Floats, noise: Floats) -> tuple[Heard, Heard]:
    """Two clips, the second of which the detector hears only in silence; speech of 100 hops, then music."""
    clips = [(50, 60), (150, 160)]
    return tuple(  # type: ignore[return-value]
        Heard(
            clips={"clean": scores(values, *clips), "babble": scores(values * quieter, *clips)},
            negatives=scores(noise, (0, 100), (100, 400)),
            kinds=["speech", "music"],
        )
        for values, quieter in ((verifier, np.array([1.0] * 100 + [0.1] * 300, np.float32)), (gate, np.float32(0.5)))
    )


def test_both_parts_are_measured_at_the_threshold_of_the_first() -> None:
    verifier, gate, noise = (np.zeros(HOPS, np.float32) for _ in range(3))
    verifier[[55, 155]] = 1.0
    gate[[57, 157]] = 0.8
    noise[[20, 300]] = 0.5, 0.4
    deaf = gate.copy()
    deaf[57] = 0.3
    calibration, test = heard(verifier, gate, noise), heard(verifier, deaf, noise)
    found = measure_gate(calibration, test, threshold=0.5, context_hops=CONTEXT_HOPS, tail_s=TAIL_S)
    assert found["threshold"] == pytest.approx(0.4)  # of the clip in babble
    passed = {name: (rate["count"], rate["total"]) for name, rate in found["calibration"]["passed"].items()}
    assert passed == {"clean": (2, 2), "babble": (1, 1), "all": (3, 3)}
    passed = {name: (rate["count"], rate["total"]) for name, rate in found["test"]["passed"].items()}
    assert passed == {"clean": (1, 2), "babble": (0, 1), "all": (1, 3)}
    assert found["test"]["passed"]["all"]["low"] == share(1, 3).low
    hold, lookback = 10, 6
    runs = [20 + 1 + hold, CONTEXT_HOPS + lookback + 1 + hold]  # it begins with hop 0, so it has less to catch up with
    assert found["test"]["duty"] == {
        "all": {"hours": 0.009, "open": 2 / 400, "runs": sum(runs) / 400},
        "music": {"hours": 0.007, "open": round(1 / 300, 5), "runs": round(runs[1] / 300, 5)},
        "speech": {"hours": 0.002, "open": 0.01, "runs": runs[0] / 100},
    }
    told = format_gate(found)
    assert "100.0 % (29.2-100.0), 3 of 3. 3 clips tell it to 1 in 3." in told
    assert "| babble | 0.0 % (0.0-97.5), 0 of 1 |" in told
    assert "| speech | 0.00 | 1.00 % | 31.00 % |" in told


def test_a_detector_that_accepts_nothing_has_a_gate_all_the_same() -> None:
    verifier, gate = np.zeros(HOPS, np.float32), np.full(HOPS, 0.25, np.float32)
    both = heard(verifier, gate, gate)
    found = measure_gate(both, both, threshold=0.5, context_hops=CONTEXT_HOPS, tail_s=TAIL_S)
    assert found["threshold"] == pytest.approx(0.125)
    assert found["test"]["passed"] == {"clean": None, "babble": None, "all": None}
    assert "| all | none accepted |" in format_gate(found)
    assert "the detector accepts none" in format_gate(found)
