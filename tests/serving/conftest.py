"""A real server on the loopback interface, in a thread of its own, with the tiny model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.graph import Graph
from tests.serving.running import LoopThread, RunningServer
from tests.tiny_model import silence, tiny_card, tone, write_tiny_head, write_tiny_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models that hear the same tone: ``beep``, with its head file, fires at 0.75, ``boop`` at 0.4."""
    folder = tmp_path_factory.mktemp("models")
    boop = tiny_card(name="boop", phrase="boop", threshold=0.4, thresholds=[], receptive_field_samples=None)
    write_tiny_head(folder / "beep.onnx")
    return [write_tiny_model(folder / "beep.onnx"), write_tiny_model(folder / "boop.onnx", boop)]


@pytest.fixture(scope="session")
def graphs(models: list[Path]) -> dict[str, Graph]:
    """The same models for the local runtime."""
    return {path.stem: Graph.load(path) for path in models}


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    """The event loop that all servers of a test run share."""
    with LoopThread() as thread:
        yield thread


@pytest.fixture
def start(loop: LoopThread, models: list[Path]) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers on free ports; they end with the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> RunningServer:
            return stack.enter_context(RunningServer(loop, **{"models": tuple(models), "threads": 2, **settings}))

        yield start


@pytest.fixture(scope="session")
def server(loop: LoopThread, models: list[Path]) -> Iterator[RunningServer]:
    """A server that tests share: it has to survive all of them."""
    with RunningServer(loop, models=tuple(models), threads=2) as running:
        yield running


@pytest.fixture(scope="session")
def recording() -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """12.3 s with three tones, one of them too weak for ``beep``, and a last hop that is not whole."""
    return np.concatenate(
        [
            silence(1.503),
            tone(1.0),
            silence(2.0),
            tone(0.7, amplitude=5_000),
            silence(2.11),
            tone(1.3, amplitude=7_800),
            silence(3.687),
        ]
    )
