"""How many streams are let in, by their cost, by what the process really uses, and by how late it is."""

from __future__ import annotations

import pytest

from nanowakeword.timing import HOP_S
from serving.capacity import PULSE_S, Capacity, measure_cost_s
from serving.errors import OverloadError


def fill(capacity: Capacity, cost_s: float) -> int:
    """Open streams until the server is full."""
    for count in range(100_000):
        try:
            capacity.admit(cost_s)
        except OverloadError:
            return count
    raise AssertionError("it is never full")


def test_streams_share_the_processors() -> None:
    most = fill(Capacity(threads=1, cores=1.0, max_streams=None), 0.001)
    # 85 % of one core, 1 ms to judge and 0.15 ms to carry a hop.
    assert most == pytest.approx(0.85 * HOP_S / 0.00115, abs=1.0)
    two = fill(Capacity(threads=1, cores=2.0, max_streams=None), 0.001)
    assert two == pytest.approx(0.85 * HOP_S / 0.001, abs=1.0), "a thread judges on one core, whatever there is"
    both = fill(Capacity(threads=2, cores=2.0, max_streams=None), 0.001)
    assert both == pytest.approx(2 * 0.85 * HOP_S / 0.00115, abs=1.0)
    many = fill(Capacity(threads=8, cores=9.0, max_streams=None), 1e-6)
    assert many == pytest.approx(0.85 * HOP_S / 0.00015, abs=1.0), "one event loop carries"


def test_what_is_closed_makes_room() -> None:
    capacity = Capacity(threads=1, cores=1.0, max_streams=None)
    most = fill(capacity, 0.001)
    for _ in range(10):
        capacity.release(0.001)
    assert (fill(capacity, 0.001), capacity.streams) == (10, most)


def test_a_model_that_is_too_slow_serves_one_stream() -> None:
    assert fill(Capacity(threads=1, cores=1.0, max_streams=None), 1.0) == 1


def test_a_number_counts_whatever_the_cost() -> None:
    capacity = Capacity(threads=1, cores=1.0, max_streams=3)
    for _ in range(20):
        capacity.observe(pieces=100, cost_s=0.1, used_s=1.0, delay_s=9.0)
    assert fill(capacity, 1.0) == 3
    capacity.release(1.0)
    capacity.admit(1.0)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_what_the_process_uses_corrects_what_was_expected(factor: float) -> None:
    capacity = Capacity(threads=1, cores=1.0, max_streams=None)
    expected_s = 300 * (0.00015 + 0.0002)
    for _ in range(100):
        capacity.observe(pieces=300, cost_s=300 * 0.0002, used_s=factor * expected_s, delay_s=0.0)
    assert fill(capacity, 0.001) == pytest.approx(0.85 * HOP_S / 0.00115 / factor, abs=1.0)


def test_a_server_with_little_to_do_learns_nothing() -> None:
    fresh = fill(Capacity(threads=1, cores=1.0, max_streams=None), 0.001)
    capacity = Capacity(threads=1, cores=1.0, max_streams=None)
    for _ in range(100):
        capacity.observe(pieces=10, cost_s=0.01 * PULSE_S, used_s=0.2, delay_s=0.0)
    assert fill(capacity, 0.001) == fresh


def test_a_queue_that_never_empties_lets_nobody_in_and_a_burst_does() -> None:
    capacity = Capacity(threads=1, cores=1.0, max_streams=None)
    capacity.admit(0.0001)

    def seen(*delays_s: float) -> None:
        for delay_s in delays_s:
            capacity.observe(pieces=1, cost_s=0.0, used_s=0.0, delay_s=delay_s)

    seen(2.0, 2.0, 2.0)
    capacity.admit(0.0001)  # not yet a whole second
    seen(2.0)
    with pytest.raises(OverloadError, match="2 streams, as many as it can judge in time"):
        capacity.admit(0.0001)
    seen(0.01)
    capacity.admit(0.0001)
    seen(2.0, 2.0, 2.0, 2.0)
    capacity.quieten()
    capacity.admit(0.0001)


def test_cost_is_that_of_the_best_run() -> None:
    runs = []
    cost_s = measure_cost_s(lambda: runs.append(sum(range(20_000))), hops=4)
    assert 0.0 < cost_s < 0.1
    assert len(runs) > 1
