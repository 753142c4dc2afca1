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
from typing import Any, Self

from nanowakeword.arrays import Floats
from nanowakeword.errors import ConfigError
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from serving.errors import ProtocolError, UnknownModelError
from serving.models import Selection, ServedModel, load_model
from serving.verifier import VerifierStream

__all__ = ["Engine", "Heard", "Session"]


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
        streams: by model name, at least one; all of audio, or all of features.
        feature_shape: rows in a hop of features, and their width; None: the stream is of audio.
    """

    def __init__(
        self, streams: Mapping[str, DetectionStream | VerifierStream], *, feature_shape: tuple[int, int] | None = None
    ) -> None:
        self._streams = streams
        self.feature_shape = feature_shape
        self._sample_step = 1 if feature_shape is None else HOP_SAMPLES // feature_shape[0]
        self._samples = 0

    @property
    def thresholds(self) -> dict[str, float]:
        """By model, the score at or above which it fires."""
        return {name: stream.threshold for name, stream in self._streams.items()}

    @property
    def seconds(self) -> float:
        """Length of the audio that came so far, seconds."""
        return self._samples / SAMPLE_RATE_HZ

    def feed(self, piece: Any) -> Heard:
        """Listen to int16 audio ``[n]``, or to features float32 ``[k*r, f]``."""
        self._samples += len(piece) * self._sample_step
        return self._collect([stream.feed(piece) for stream in self._streams.values()])

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
            files = ", ".join(str(model.path) for model in models if model.name == twice)
            raise ConfigError("two models with one name", got=f"{twice!r} in {files}", expected="a name for each")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="inference")

    @classmethod
    def load(cls, paths: Sequence[Path], *, threshold: float | None, pipeline: str | None, threads: int) -> Self:
        """Load model files.

        Args:
            paths: the first is the default model.
            threshold: score at or above which all of them fire by default; None: each model's own.
            pipeline: ``full`` or ``verifier_only``; None: both, where the files allow.
            threads: inference threads.

        Raises:
            ConfigError: two models have one name, or a model has nothing for the pipeline.
            ModelError: a file is missing, damaged, or not a model.
        """
        models = [load_model(path, threshold=threshold, pipeline=pipeline) for path in paths]
        return cls(models, threads=threads)

    def open(
        self, selections: Sequence[Selection], *, verifier_only: bool = False, made_by: Sequence[str] = ()
    ) -> Session:
        """A session for a new stream; without a selection it gets the default model.

        Args:
            selections: the models.
            verifier_only: whether features will come, and not audio.
            made_by: front ends that make the features, as the protocol writes them; empty: not known.

        Raises:
            ConfigError: a threshold is out of range, or a card knows no threshold for a budget.
            ProtocolError: a model is asked for twice, or is not served this way, or takes other features.
            UnknownModelError: a model is not here.
        """
        chosen: dict[str, tuple[ServedModel, Selection]] = {}
        for selection in selections or (Selection(),):
            model = self._find(selection.name)
            if model.name in chosen:
                raise ProtocolError(f"model {model.name!r} is asked for twice", expected="each model once")
            chosen[model.name] = (model, selection)
        if not verifier_only:
            return Session({name: model.listen(selection) for name, (model, selection) in chosen.items()})
        first = next(iter(chosen.values()))[0]
        streams = {
            # All are fed the same features: those of the first, if the client does not tell whose they are.
            name: model.verify(selection, made_by=made_by or first.front_ends)
            for name, (model, selection) in chosen.items()
        }
        shapes = {model.heads.feature_shape for model, _ in chosen.values() if model.heads is not None}
        if len(shapes) > 1:
            raise ProtocolError("models that take different features on one stream", got=", ".join(chosen))
        return Session(streams, feature_shape=shapes.pop())

    async def feed(self, session: Session, piece: Any) -> Heard:
        """Let a session listen to int16 audio ``[n]`` or features ``[k*r, f]``; one call per session at a time."""
        return await self._run(lambda: session.feed(piece))

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
