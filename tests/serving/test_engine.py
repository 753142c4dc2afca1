"""The engine: whatever else it is doing, each stream gets the scores that it would get alone."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.heads import Heads
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.v1 import wakeword_pb2 as pb
from serving import library as library_module
from serving.config import ServerConfig
from serving.engine import Engine
from serving.errors import OverloadError, UnknownModelError
from serving.models import Selection
from tests.serving.running import TIMEOUT_S, RunningServer, audio, config, wait_for
from tests.tiny_model import tiny_card, tone, write_tiny_model

BEEP, BOOP = Selection(name="beep"), Selection(name="boop")


@pytest.fixture
def load(models: list[Path]) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def load(*, metrics: Any = None, **settings: Any) -> Engine:
        engine = Engine.load(ServerConfig(**{"models": tuple(models), **settings}), metrics=metrics)
        engines.append(engine)
        return engine

    yield load
    for engine in engines:
        engine.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 4 * TIMEOUT_S))


class Sizes(list[int]):
    """Sizes of batches."""

    def batch(self, model: str, size: int, wait_s: float, infer_s: float) -> None:
        assert model in ("beep", "boop", "boop+beep")
        assert wait_s >= 0.0
        assert infer_s > 0.0
        self.append(size)


def some_audio(random: np.random.Generator) -> Samples:
    """Up to 6 s of tones of all strengths, and of noise."""
    parts = [
        tone(random.uniform(0.0, 1.0), amplitude=int(random.integers(0, 12_000))) for _ in range(random.integers(1, 7))
    ]
    mixed = np.concatenate(parts) + random.normal(0.0, 200.0, sum(map(len, parts)))
    return np.clip(mixed, -32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize(
    ("seed", "settings"),
    [
        (0, {}),
        (1, {"max_batch": 3}),
        (2, {"max_batch": 1}),
        (3, {"threads": 3}),
        (4, {"threads": 2, "max_batch": 5}),
    ],
)
def test_a_stream_among_others_hears_what_it_hears_alone(
    load: Callable[..., Engine], graphs: dict[str, Graph], seed: int, settings: dict[str, int]
) -> None:
    """Streams of one model, the other, or both, cut in any way, come at any time and leave in the middle."""
    sizes = Sizes()
    engine = load(metrics=sizes, **settings)
    random = np.random.default_rng(seed)

    async def stream(number: int) -> None:
        own = np.random.default_rng([seed, number])
        names = [["beep"], ["boop"], ["boop", "beep"], ["beep", "boop"]][number % 4]
        recording = some_audio(own)
        alone = {name: DetectionStream(graphs[name]) for name in names}
        expected = {name: (one.feed(recording) + one.flush()) for name, one in alone.items()}
        await asyncio.sleep(own.uniform(0.0, 0.3))
        session = engine.open([Selection(name=name) for name in names])
        try:
            scores: dict[str, list[float]] = {name: [] for name in names}
            detections: list[Detection] = []
            at, hops = 0, 0
            leaves = number % 5 == 4
            while at < len(recording):
                size = int(own.choice([1, 700, 1_280, 1_280, 1_600, 5_120, 20_000]))
                heard = await engine.feed(session, recording[at : at + size])
                at += size
                assert heard.first_hop == hops
                hops += len(heard.scores[names[0]])
                assert heard.processed_samples == hops * 1_280
                ends = [one.end_s for one in heard.detections]
                assert ends == sorted(ends)
                for name in names:
                    scores[name] += heard.scores[name].tolist()
                detections += heard.detections
                if leaves and own.random() < 0.2:
                    break
                if own.random() < 0.3:
                    await asyncio.sleep(own.uniform(0.0, 0.02))
            if not leaves:
                heard = await engine.finish(session)
                for name in names:
                    scores[name] += heard.scores[name].tolist()
                detections += heard.detections
                assert sorted((one.model, one.end_s) for one in detections) == sorted(
                    (name, one.end_s) for name in names for one in expected[name]
                )
            for name in names:
                reference = DetectionStream(graphs[name])
                reference.feed(np.pad(recording, (0, -len(recording) % 1_280)))
                np.testing.assert_allclose(scores[name], reference.scores[: len(scores[name])], atol=1e-4)
        finally:
            engine.close_session(session)

    async def scenario() -> None:
        await asyncio.gather(*(stream(number) for number in random.permutation(60)))
        assert engine.open_streams == 0
        await asyncio.sleep(0.05)
        assert engine._lanes == {}, "nothing is kept for models in combinations that nobody uses"

    run(scenario())
    assert max(sizes) == settings.get("max_batch", max(sizes))
    assert max(sizes) > 1 or settings.get("max_batch") == 1


def test_front_ends_that_models_share_run_once(
    load: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, recording: Samples
) -> None:
    """``beep`` has a head file and the front end of ``boop``."""
    engine = load()
    runs: list[str] = []
    for kind, name in ((Graph, "graph"), (Heads, "heads")):

        def noted(self: Any, *arguments: Any, original: Any = kind.run, name: str = name) -> Any:
            runs.append(f"{name} {self.card.name}")
            return original(self, *arguments)

        monkeypatch.setattr(kind, "run", noted)

    async def scenario() -> None:
        session = engine.open([BEEP, BOOP])
        assert list(session.thresholds) == ["beep", "boop"], "in the order asked for"
        await engine.feed(session, recording[:1_280])
        engine.close_session(session)

    run(scenario())
    assert runs == ["graph boop", "heads beep_head"]


def test_less_than_a_hop_waits(load: Callable[..., Engine]) -> None:
    async def scenario() -> None:
        engine = load()
        session = engine.open([BEEP])
        heard = await engine.feed(session, tone(0.079))
        assert (len(heard.scores["beep"]), heard.first_hop, heard.processed_samples) == (0, 0, 0)
        heard = await engine.finish(session)
        assert (len(heard.scores["beep"]), heard.first_hop, heard.processed_samples) == (1, 0, 1_280)
        assert session.seconds == pytest.approx(0.079)
        heard = await engine.finish(session)
        assert (len(heard.scores["beep"]), heard.first_hop) == (0, 1)
        engine.close_session(session)

    run(scenario())


def test_a_full_server_refuses_and_has_room_again(load: Callable[..., Engine]) -> None:
    async def scenario() -> None:
        engine = load(max_streams=2)
        first, second = engine.open([BEEP]), engine.open([BOOP])
        with pytest.raises(OverloadError, match="the server is full; got 2 streams"):
            engine.open([BEEP])
        engine.close_session(first)
        engine.close_session(first)
        third = engine.open([BEEP])
        with pytest.raises(OverloadError):
            engine.open([BEEP])
        with pytest.raises(ConfigError, match="threshold"):
            engine.open([Selection(threshold=7.0)])
        assert engine.open_streams == 2
        for session in (second, third):
            engine.close_session(session)
        assert engine.open_streams == 0

    run(scenario())


def test_the_cost_of_models_decides(load: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.models.measure_cost_s", lambda *_, **__: 0.02)

    async def scenario() -> None:
        engine = load()
        sessions = [engine.open([BEEP]) for _ in range(math.floor(0.85 * 0.08 / 0.0205))]
        with pytest.raises(OverloadError, match="as many as it can judge in time"):
            engine.open([BEEP])
        for session in sessions:
            engine.close_session(session)

    run(scenario())


def test_a_full_server_tells_the_client(start: Callable[..., RunningServer]) -> None:
    server = start(max_streams=1)
    over = threading.Event()

    def requests() -> Iterator[pb.DetectRequest]:
        yield config()
        over.wait(TIMEOUT_S)

    with server.stub() as stub:
        call = stub.Detect(requests(), timeout=TIMEOUT_S)
        next(call)
        with pytest.raises(grpc.RpcError) as caught:
            server.talk([config()])
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the server is full" in caught.value.details()
        over.set()
        assert list(call) == []
    wait_for(lambda: server.open_streams == 0)
    assert len(server.talk([config(), audio(np.zeros(1_280, np.int16))])) == 1


def test_models_are_replaced_and_removed_under_open_streams(
    tmp_path: Path, load: Callable[..., Engine], models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "_LOOK_S", 0.02)
    changing, other = tmp_path / "changing.onnx", tmp_path / "other.onnx"
    write_tiny_model(changing, tiny_card(name="changing"))
    write_tiny_model(other, tiny_card(name="other"))

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        engine = load(models=(models[0],), model_dir=tmp_path)
        session = engine.open([Selection(name="changing"), BEEP])
        bystander = engine.open([Selection(name="other")])
        hop = tone(0.08)
        await engine.feed(session, hop)
        assert list(engine.replaced(session)) == []
        beside = tmp_path / "new"
        write_tiny_model(beside, tiny_card(name="changing", threshold=0.1))
        beside.replace(changing)
        await until(lambda: any(model.threshold == 0.1 for model in engine.models))
        heard = await engine.feed(session, hop)
        assert heard.scores["changing"][0] == pytest.approx(0.5, abs=1e-3), "it goes on with what it has"
        assert not heard.detections, "and with its own threshold"
        assert list(engine.replaced(session)) == ["changing"]
        assert list(engine.replaced(session)) == [], "told once"
        assert engine.open([Selection(name="changing")]).thresholds == {"changing": 0.1}
        other.unlink()
        await until(lambda: len(engine.models) == 2)
        await engine.feed(session, hop)
        assert list(engine.replaced(session)) == [], "another model is none of its business"
        with pytest.raises(UnknownModelError, match="model 'other' was removed; expected beep, changing"):
            await engine.feed(bystander, hop)
        with pytest.raises(UnknownModelError):
            engine.open([Selection(name="other")])

    run(scenario())


def test_a_cancelled_stream_leaves_no_trace(load: Callable[..., Engine], graphs: dict[str, Graph]) -> None:
    async def scenario() -> None:
        engine = load()
        for _ in range(20):
            session = engine.open([BEEP])
            task = asyncio.ensure_future(engine.feed(session, tone(3.0)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            engine.close_session(session)
        session = engine.open([BEEP])
        heard = await engine.feed(session, tone(0.4))
        alone = DetectionStream(graphs["beep"])
        alone.feed(tone(0.4))
        np.testing.assert_allclose(heard.scores["beep"], alone.scores, atol=1e-4)
        engine.close_session(session)

    run(scenario())
