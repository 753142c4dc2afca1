"""The engine: models loaded once, a state per stream, inference on threads of its own and never in the event loop.

Streams reach the models only through `Engine.feed`, so that several streams can be judged in one run of a graph
(its first dimension) without any other part knowing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.operating_point import resolve_threshold
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import SAMPLE_RATE_HZ
from serving.errors import ProtocolError, UnknownModelError

__all__ = ["Engine", "Heard", "Selection", "ServedModel", "Session"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A model that a stream asks for, and where it is to fire.

    Attributes:
        name: of the model; empty for the default one.
        threshold: score at or above which it fires; None: by budget, or else the model's default.
        budget_fa_per_hour: false accepts per hour to stay within; None: not asked for.
    """

    name: str = ""
    threshold: float | None = None
    budget_fa_per_hour: float | None = None


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that streams can ask for.

    Attributes:
        graph: the model.
        threshold: score at or above which it fires unless a stream says otherwise.
    """

    graph: Graph
    threshold: float

    @property
    def name(self) -> str:
        """Name to ask for."""
        return self.graph.card.name

    def listen(self, selection: Selection) -> DetectionStream:
        """A new stream through this model.

        Raises:
            ConfigError: the threshold or the budget is out of range, or the card knows no threshold for the budget.
        """
        threshold, budget = selection.threshold, selection.budget_fa_per_hour
        if threshold is None and budget is None:
            return DetectionStream(self.graph, threshold=self.threshold)
        return DetectionStream(
            self.graph, threshold=resolve_threshold(self.graph.card, threshold=threshold, budget=budget)
        )


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one piece of audio told.

    Attributes:
        detections: phrases heard, oldest first.
        scores: by model, the scores of the hops that the piece completed, float32 ``[k]``.
        first_hop: number of the first of those hops, counted from 0 at the start of the stream.
        processed_samples: samples of the stream that were judged so far.
    """

    detections: Sequence[Detection]
    scores: Mapping[str, Floats]
    first_hop: int
    processed_samples: int


class Session:
    """One stream: its models and what they remember. Used by one thread at a time.

    Args:
        streams: by model name, at least one.
    """

    def __init__(self, streams: Mapping[str, DetectionStream]) -> None:
        self._streams = streams
        self._samples = 0

    @property
    def thresholds(self) -> dict[str, float]:
        """By model, the score at or above which it fires."""
        return {name: stream.threshold for name, stream in self._streams.items()}

    @property
    def seconds(self) -> float:
        """Length of the audio that came so far, seconds."""
        return self._samples / SAMPLE_RATE_HZ

    def feed(self, audio: Samples) -> Heard:
        """Listen to int16 audio ``[n]``."""
        self._samples += len(audio)
        return self._collect([stream.feed(audio) for stream in self._streams.values()])

    def finish(self) -> Heard:
        """Complete the last hop with silence."""
        return self._collect([stream.flush() for stream in self._streams.values()])

    def _collect(self, detections: Sequence[Sequence[Detection]]) -> Heard:
        scores = {name: stream.scores for name, stream in self._streams.items()}
        clock = next(iter(self._streams.values()))  # all models have had the same audio
        return Heard(
            detections=sorted((one for some in detections for one in some), key=lambda one: one.end_s),
            scores=scores,
            first_hop=clock.first_hop,
            processed_samples=clock.processed_samples,
        )


class Engine:
    """Runs models for streams; a context manager that ends its threads.

    Args:
        models: the first is the default one.
        threads: inference threads.

    Raises:
        ConfigError: two models have one name.
    """

    def __init__(self, models: Sequence[ServedModel], *, threads: int) -> None:
        self.models = tuple(models)
        self._by_name = {model.name: model for model in models}
        if len(self._by_name) < len(models):
            names = [model.name for model in models]
            twice = next(name for name in names if names.count(name) > 1)
            files = ", ".join(str(model.graph.path) for model in models if model.name == twice)
            raise ConfigError("two models with one name", got=f"{twice!r} in {files}", expected="a name for each")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="inference")

    @classmethod
    def load(cls, paths: Sequence[Path], *, threshold: float | None, threads: int) -> Self:
        """Load model files.

        Args:
            paths: the first is the default model.
            threshold: score at or above which all of them fire by default; None: each model's own.
            threads: inference threads.

        Raises:
            ConfigError: two models have one name.
            ModelError: a file is missing, damaged, or not a model.
        """
        graphs = [Graph.load(path) for path in paths]
        return cls(
            [
                ServedModel(graph=graph, threshold=graph.card.threshold if threshold is None else threshold)
                for graph in graphs
            ],
            threads=threads,
        )

    def open(self, selections: Sequence[Selection]) -> Session:
        """A session for a new stream; without a selection it gets the default model.

        Raises:
            ConfigError: a threshold is out of range, or a card knows no threshold for a budget.
            ProtocolError: a model is asked for twice.
            UnknownModelError: a model is not here.
        """
        streams: dict[str, DetectionStream] = {}
        for selection in selections or (Selection(),):
            model = self._find(selection.name)
            if model.name in streams:
                raise ProtocolError(f"model {model.name!r} is asked for twice", expected="each model once")
            streams[model.name] = model.listen(selection)
        return Session(streams)

    async def feed(self, session: Session, audio: Samples) -> Heard:
        """Let a session listen to int16 audio ``[n]``; one call per session at a time."""
        return await self._run(lambda: session.feed(audio))

    async def finish(self, session: Session) -> Heard:
        """Tell a session that its audio is over."""
        return await self._run(session.finish)

    def close(self) -> None:
        """End the threads, after what they are doing now."""
        self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _run(self, work: Callable[[], Heard]) -> Heard:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _find(self, name: str) -> ServedModel:
        if not name:
            return self.models[0]
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownModelError(
                "this server has no such model", got=_shown(name), expected=", ".join(self._by_name)
            ) from None


def _shown(name: str) -> str:
    """A name that a stranger sent, short enough for a message."""
    return repr(name) if len(name) <= 60 else repr(name[:57]) + "..."
