"""What waits together runs together, and nobody notices the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.arrays import Floats, Samples
from serving import batching, seat
from serving.batching import Batcher
from serving.lane import Lane
from serving.models import load_model
from serving.seat import Seat
from tests.serving.running import TIMEOUT_S
from tests.tiny_model import tone

HOP = 1_280


class WatchedLane(Lane):
    """A lane that writes down what it runs, and that can be made to wait."""

    def __init__(self, path: Path) -> None:
        super().__init__([load_model(path, threshold=None, pipeline=None)], takes_features=False)
        self.runs: list[tuple[int, int]] = []
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def run(self, pieces: Sequence[Any], slots: Sequence[int]) -> Mapping[str, Floats]:
        self.runs.append((len(pieces), len(pieces[0]) // HOP))
        self.began.set()
        assert self.go_on.wait(TIMEOUT_S)
        if any(len(piece) and piece[0] == -32_768 for piece in pieces):
            raise ZeroDivisionError("poison")
        return super().run(pieces, slots)


@asynccontextmanager
async def busy(batcher: Batcher, lane: WatchedLane) -> AsyncIterator[None]:
    """The only thread is kept busy with another stream inside, and what was submitted waits."""
    other = Seat(lane)
    lane.began.clear()
    lane.go_on.clear()
    first = batcher.submit(other, np.zeros(HOP, np.int16))
    try:
        assert await asyncio.to_thread(lane.began.wait, TIMEOUT_S)
        yield
    finally:
        lane.go_on.set()
    await first
    batcher.leave(other)


@pytest.fixture
def lane(models: list[Path]) -> WatchedLane:
    return WatchedLane(models[0])


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches may follow one another at once, except where a test is about that."""
    monkeypatch.setattr(batching, "_PACE_S", 0.0)


@asynccontextmanager
async def batching_with(**settings: Any) -> AsyncIterator[Batcher]:
    batcher = Batcher(**{"threads": 1, "max_batch": 32, "metrics": None, **settings})
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield batcher
    finally:
        batcher.close()


def audio(number: int, hops: int = 1) -> Samples:
    return tone(0.08 * hops, amplitude=1_000 * (number + 1))


@pytest.mark.parametrize(("max_batch", "runs"), [(32, [1, 5]), (2, [1, 2, 2, 1]), (1, [1, 1, 1, 1, 1, 1])])
def test_what_waits_together_runs_together(lane: WatchedLane, max_batch: int, runs: list[int]) -> None:
    async def scenario() -> None:
        async with batching_with(max_batch=max_batch) as batcher:
            seats = [Seat(lane) for _ in range(5)]
            async with busy(batcher, lane):
                futures = [batcher.submit(one, audio(number)) for number, one in enumerate(seats)]
            scores = [(await future)["beep"] for future in futures]
        # A quarter of the tone's amplitude, for it is one of four hops.
        np.testing.assert_allclose(np.concatenate(scores), np.arange(1, 6) * 1_000 / 8_192 / 4, atol=1e-4)

    asyncio.run(scenario())
    assert lane.runs == [(size, 1) for size in runs]


def test_different_models_run_apart(lane: WatchedLane, models: list[Path]) -> None:
    other = WatchedLane(models[1])

    async def scenario() -> None:
        async with batching_with() as batcher:
            async with busy(batcher, lane):
                mine, its = [Seat(lane), Seat(lane)], [Seat(other), Seat(other)]
                futures = [batcher.submit(one, audio(0)) for one in (mine[0], its[0], mine[1], its[1])]
            scores = await asyncio.gather(*futures)
        assert [list(one) for one in scores] == [["beep"], ["boop"], ["beep"], ["boop"]]

    asyncio.run(scenario())
    assert (lane.runs, other.runs) == ([(1, 1), (2, 1)], [(2, 1)])


def test_a_batch_that_is_not_full_keeps_the_pace(lane: WatchedLane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_PACE_S", 0.3)

    async def scenario() -> None:
        async with batching_with(max_batch=3) as batcher:
            seats = [Seat(lane) for _ in range(7)]
            await batcher.submit(seats[0], audio(0))
            late = [batcher.submit(seats[1], audio(0))]
            await asyncio.sleep(0.05)
            late.append(batcher.submit(seats[2], audio(0)))
            await asyncio.gather(*late)
            async with busy(batcher, lane):
                many = [batcher.submit(one, audio(0)) for one in seats[3:6]]
            await asyncio.gather(*many)

    asyncio.run(scenario())
    assert lane.runs == [(1, 1), (2, 1), (1, 1), (3, 1)]


def test_a_long_piece_uses_the_time_between_batches(lane: WatchedLane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_PACE_S", 0.3)

    async def scenario() -> None:
        async with batching_with() as batcher:
            async with busy(batcher, lane):
                futures = [batcher.submit(Seat(lane), audio(0)), batcher.submit(Seat(lane), audio(0, hops=8))]
            await asyncio.gather(*futures)

    asyncio.run(scenario())
    assert lane.runs == [(1, 1), (1, 8), (1, 1)]


def test_a_long_piece_gives_way_turn_by_turn(lane: WatchedLane) -> None:
    async def scenario() -> None:
        async with batching_with() as batcher:
            long, short = Seat(lane), Seat(lane)
            async with busy(batcher, lane):
                whole = batcher.submit(long, audio(0, hops=20))
                first = batcher.submit(short, audio(0, hops=2))
            await first
            scores = (await whole)["beep"]
            load = batcher.take_load()
        np.testing.assert_allclose(scores[3:], 1_000 / 8_192, atol=1e-4)
        assert len(scores) == 20
        assert load.pieces == 3
        assert load.cost_s == pytest.approx(23 * lane.cost_s), "of hops, not of pieces"

    asyncio.run(scenario())
    assert lane.runs == [(1, 1), (1, 1), (1, 1), (1, 8), (1, 8), (1, 4)]


def test_a_long_piece_does_not_give_way_for_ever(lane: WatchedLane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "_GIVES_WAY_S", 0.0)

    async def scenario() -> None:
        async with batching_with() as batcher:
            long, short = Seat(lane), Seat(lane)
            async with busy(batcher, lane):
                whole = batcher.submit(long, audio(0, hops=8))
                first = batcher.submit(short, audio(0))
            await asyncio.gather(whole, first)

    asyncio.run(scenario())
    assert lane.runs == [(1, 1), (1, 8), (1, 1)]


def test_a_fault_is_that_of_one_stream(lane: WatchedLane) -> None:
    async def scenario() -> None:
        async with batching_with() as batcher:
            seats = [Seat(lane) for _ in range(3)]
            async with busy(batcher, lane):
                poison = audio(0)
                poison[0] = -32_768
                futures = [batcher.submit(one, piece) for one, piece in zip(seats, [audio(1), poison, audio(2)])]  # noqa: B905
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
            again = await batcher.submit(seats[0], audio(1))
        first, fault, last = outcomes
        assert isinstance(fault, ZeroDivisionError)
        assert isinstance(first, dict)
        assert isinstance(last, dict)
        np.testing.assert_allclose([first["beep"][0], last["beep"][0]], [500 / 8_192, 750 / 8_192], atol=1e-4)
        np.testing.assert_allclose(again["beep"], [1_000 / 8_192], atol=1e-4, err_msg="its hop counted once")

    asyncio.run(scenario())


def test_a_fault_of_ours_is_told_and_nobody_waits_for_ever(lane: WatchedLane, caplog: pytest.LogCaptureFixture) -> None:
    class Metrics:
        def batch(self, model: str, size: int, wait_s: float, infer_s: float) -> None:
            raise ZeroDivisionError(f"{model} {size} {wait_s} {infer_s}")

    async def scenario() -> None:
        async with batching_with(metrics=Metrics()) as batcher:
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    await batcher.submit(Seat(lane), audio(0))

    asyncio.run(scenario())
    assert caplog.text.count("a batch was lost") == 2


def test_a_row_is_free_only_when_nobody_writes_to_it(lane: WatchedLane) -> None:
    async def scenario() -> None:
        async with batching_with() as batcher:
            idle, waiting = Seat(lane), Seat(lane)
            batcher.leave(idle)
            assert len(lane.slots) == 1
            async with busy(batcher, lane):
                future = batcher.submit(waiting, audio(0))
                future.cancel()
                batcher.leave(waiting)
                assert len(lane.slots) == 2, "the busy one and the one that still waits"
                newcomer = Seat(lane)
                assert newcomer.slot != waiting.slot
            np.testing.assert_allclose((await batcher.submit(newcomer, audio(3)))["beep"], [1_000 / 8_192], atol=1e-4)
            assert (len(lane.slots), lane.streams) == (1, 1)

    asyncio.run(scenario())


def test_a_stream_that_has_left_is_not_judged_to_its_end(lane: WatchedLane) -> None:
    async def scenario() -> None:
        async with batching_with() as batcher:
            long = Seat(lane)
            async with busy(batcher, lane):
                batcher.submit(long, audio(0, hops=48)).cancel()
                batcher.leave(long)
            await batcher.submit(Seat(lane), audio(0))

    asyncio.run(scenario())
    assert lane.runs.count((1, 8)) <= 1


def test_figures_of_batches(lane: WatchedLane) -> None:
    figures: list[tuple[str, int, float, float]] = []

    class Metrics:
        def batch(self, model: str, size: int, wait_s: float, infer_s: float) -> None:
            figures.append((model, size, wait_s, infer_s))

    async def scenario() -> None:
        async with batching_with(metrics=Metrics()) as batcher:
            seats = [Seat(lane) for _ in range(2)]
            async with busy(batcher, lane):
                futures = [batcher.submit(one, audio(0)) for one in seats]
                await asyncio.sleep(0.05)
            await asyncio.gather(*futures)
            assert all(0.05 <= one.lag_s < TIMEOUT_S for one in seats)
            load = batcher.take_load()
            assert load.pieces == 3
            assert load.wait_s >= 0.05
            assert load.cost_s == pytest.approx(3 * lane.cost_s)
            assert batcher.take_load().pieces == 0

    asyncio.run(scenario())
    (first, second) = figures
    assert (first[:2], second[:2]) == (("beep", 1), ("beep", 2))
    assert second[2] >= 0.05
    assert first[3] >= 0.05
