"""The front door: load a model, feed it audio, act on what it hears.

interpreter = NanoInterpreter.load_model("hey_nano.onnx")
while True:
    result = interpreter.predict(microphone.read())     # int16, 16 kHz, mono, any length
    if result.detected:
        print("heard", result.model_name, result.score)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.audio import check_chunk, read_audio
from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.postfilter import PostFilter, check_patience, check_refractory, check_threshold
from nanowakeword.results import Detection, DetectionResult
from nanowakeword.stream import ScoreStream, to_detection
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["NanoInterpreter"]

T = TypeVar("T", int, float)


class NanoInterpreter:
    """Listens to one stream of audio with one model or several. Use `load_model`.

    Not for several threads at once; load one interpreter per microphone.

    Args:
        graphs: the models.

    Raises:
        ConfigError: there is none, or two have the same name.
    """

    def __init__(self, graphs: Sequence[Graph]) -> None:
        names = [graph.card.name for graph in graphs]
        if not names:
            raise ConfigError("no model to load", expected="the path of an .onnx file, or a list of paths")
        if len(set(names)) != len(names):
            raise ConfigError("two models of the same name", got=", ".join(names), expected="each name once")
        self._graphs = dict(zip(names, graphs, strict=True))
        self.reset()

    @classmethod
    def load_model(cls, model: str | Path | Sequence[str | Path]) -> NanoInterpreter:
        """Load one model, or several that listen to the same audio.

        Args:
            model: path of an ``.onnx`` file, or a list of paths.

        Raises:
            ModelError: a file is missing, damaged, no model of ours, or newer than this code.
            ConfigError: there is no path, or two models have the same name.
        """
        paths = [model] if isinstance(model, str | Path) else list(model)
        return cls([Graph.load(path) for path in paths])

    def reset(self) -> None:
        """Start a new stream, as after long silence: nothing that was heard before has any effect."""
        self._streams = {name: ScoreStream(graph) for name, graph in self._graphs.items()}
        self._filters = {name: PostFilter() for name in self._graphs}
        self._raw_scores = dict.fromkeys(self._graphs, 0.0)
        self._scores = self._raw_scores

    def predict(
        self,
        chunk: Samples,
        *,
        threshold: float | Mapping[str, float] | None = None,
        patience: int | Mapping[str, int] | None = None,
        debounce_time: float | None = None,
    ) -> DetectionResult:
        """Listen to the next piece of audio.

        ``result.detected`` is true once per phrase. ``result.score`` is the highest score of the hops of 80 ms that
        this chunk completed, and 0.0 if it completed none, as an empty chunk does. It stays high for some hops after a
        phrase; with ``patience`` or ``debounce_time`` given, hops that reach the threshold without firing count as
        0.0, so that ``result.score > threshold`` is true once, too. `raw_scores` has the scores before that.

        Args:
            chunk: int16 ``[n]``, 16 kHz mono, any ``n``.
            threshold: score at or above which a hop counts, for all models or by model name. Default: the model's own.
            patience: hops in a row that must count, for all models or by model name. Default: 1.
            debounce_time: seconds after a detection in which the model stays quiet. Default: what its card says.

        Raises:
            AudioError: the audio is not int16 or not mono.
            ConfigError: an argument is out of range or names a model that is not loaded.
        """
        check_chunk(chunk)
        if threshold is not None or patience is not None or debounce_time is not None:
            self._check(threshold, patience, debounce_time)
        withhold = patience is not None or debounce_time is not None
        raw_scores, shown, detections = {}, {}, list[Detection]()
        for name, graph in self._graphs.items():
            limit = _for_model(threshold, name, graph.card.threshold)
            needed = _for_model(patience, name, 1)
            scores = self._streams[name].feed(chunk)
            pause = graph.card.refractory_s if debounce_time is None else debounce_time
            events = self._filters[name].push(scores, threshold=limit, patience=needed, refractory_s=pause)
            raw_scores[name] = shown[name] = float(scores.max()) if len(scores) else 0.0
            if withhold and shown[name] >= limit:
                fired = [event.score for event in events]
                shown[name] = max([*fired, *(score for score in scores.tolist() if score < limit)], default=0.0)
            detections += [to_detection(event, graph=graph, patience=needed) for event in events]
        if len(detections) > 1:
            detections.sort(key=lambda detection: detection.end_s)
        self._raw_scores, self._scores = raw_scores, shown
        return DetectionResult(scores=shown, detections=tuple(detections))

    def predict_clip(
        self,
        clip: str | Path | Samples,
        *,
        threshold: float | Mapping[str, float] | None = None,
        patience: int | Mapping[str, int] | None = None,
        debounce_time: float | None = None,
    ) -> list[DetectionResult]:
        """Listen to a whole recording as to a new stream; the interpreter's own stream is not touched.

        Args:
            clip: path of a recording, or int16 ``[n]`` at 16 kHz.
            threshold: as in `predict`.
            patience: as in `predict`.
            debounce_time: as in `predict`.

        Returns:
            One result per hop of 80 ms, as `predict` gives; the last hop is completed with silence.

        Raises:
            AudioError: the recording cannot be read or holds no audio, or the array is not int16 or not mono.
            ConfigError: as in `predict`.
        """
        samples = read_audio(clip) if isinstance(clip, str | Path) else check_chunk(clip)
        samples = np.pad(samples, (0, -len(samples) % HOP_SAMPLES))
        fresh = NanoInterpreter(list(self._graphs.values()))
        return [
            fresh.predict(hop, threshold=threshold, patience=patience, debounce_time=debounce_time)
            for hop in samples.reshape(-1, HOP_SAMPLES)
        ]

    def detected(self, threshold: float | None = None, *, model: str | None = None) -> bool:
        """Whether the score of the last `predict` reaches a threshold, in each chunk in which it does.

        Args:
            threshold: default: the model's own.
            model: name of one model. Default: any.

        Raises:
            ConfigError: the threshold is out of range, or no such model is loaded.
        """
        if threshold is not None:
            check_threshold(threshold)
        if model is not None:
            self._check_names([model])
        return any(
            self._scores[name] >= (graph.card.threshold if threshold is None else threshold)
            for name, graph in self._graphs.items()
            if model is None or name == model
        )

    @property
    def raw_scores(self) -> dict[str, float]:
        """Highest score of each model in the last `predict`, before ``patience`` and ``debounce_time``."""
        return dict(self._raw_scores)

    @property
    def info(self) -> dict[str, Any]:
        """What is loaded and what was heard last, for logs and status pages."""
        return {
            "loaded_models": list(self._graphs),
            "phrases": {name: graph.card.phrase for name, graph in self._graphs.items()},
            "thresholds": {name: graph.card.threshold for name, graph in self._graphs.items()},
            "scores": dict(self._scores),
            "raw_scores": self.raw_scores,
        }

    @property
    def cards(self) -> dict[str, ModelCard]:
        """Model cards by model name."""
        return {name: graph.card for name, graph in self._graphs.items()}

    def __repr__(self) -> str:
        return f"NanoInterpreter({', '.join(self._graphs)})"

    def _check(
        self,
        threshold: float | Mapping[str, float] | None,
        patience: int | Mapping[str, int] | None,
        debounce_time: float | None,
    ) -> None:
        self._check_option(threshold, check_threshold)
        self._check_option(patience, check_patience)
        if debounce_time is not None:
            check_refractory(debounce_time)

    def _check_option(self, option: T | Mapping[str, T] | None, check: Callable[[T], T]) -> None:
        if isinstance(option, Mapping):
            self._check_names(option)
        for value in option.values() if isinstance(option, Mapping) else [option]:
            if value is not None:
                check(value)

    def _check_names(self, names: Iterable[str]) -> None:
        if unknown := [name for name in names if name not in self._graphs]:
            raise ConfigError("no such model", got=", ".join(map(repr, unknown)), expected=", ".join(self._graphs))


def _for_model(option: T | Mapping[str, T] | None, name: str, default: T) -> T:
    """Value of an option for one model."""
    if isinstance(option, Mapping):
        return option.get(name, default)
    return default if option is None else option
