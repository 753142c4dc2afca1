"""The loop behind `NanoInterpreter.listen`: audio from anywhere, scores and detections to the user's functions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.results import DetectionResult
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["Interpreter", "Listener", "print_detection"]

_LOG: Final = logging.getLogger(__name__)


class Interpreter(Protocol):
    """What a listener needs of an interpreter."""

    def predict(self, *chunk: Any, **options: Any) -> DetectionResult:
        """Listen to the next piece of audio, int16 ``[n]``."""

    def reset(self) -> None:
        """Begin a new stream."""


class Listener:
    """Feeds a source of audio to an interpreter until the audio ends or somebody says stop.

    Times are seconds of audio since listening began, over all places where audio is missing. What a function of the
    user's raises ends the listening and reaches the caller: from `run` where it runs, from `stop` and `join` where it
    runs in a thread, and then it is logged, too.

    Args:
        interpreter: who listens.
        source: int16 chunks ``[n]``, 16 kHz mono, any ``n``; None among them where audio is missing, at which the
            interpreter begins anew. A `Microphone`, a generator, a list. Its ``close`` is called at the end, if it has
            one.
        on_detection: called with the name of the model and the score, once per phrase.
        on_score: called for each chunk with the highest score of the models and the score of the gate, 0.0 without.
        on_audio: called with each chunk before it is listened to.
        on_result: called with the result of each chunk, after `on_score` and before `on_detection`.
        on_gap: called where audio is missing.
        options: arguments of ``interpreter.predict``.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        source: Iterable[Samples | None],
        *,
        on_detection: Callable[[str, float], object] | None = None,
        on_score: Callable[[float, float], object] | None = None,
        on_audio: Callable[[Samples], object] | None = None,
        on_result: Callable[[DetectionResult], object] | None = None,
        on_gap: Callable[[], object] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._interpreter = interpreter
        self._source = source
        self._on_detection = on_detection
        self._on_score = on_score
        self._on_audio = on_audio
        self._on_result = on_result
        self._on_gap = on_gap
        self._options = dict(options or {})
        self._stopping = threading.Event()
        self._over = threading.Event()
        self._started = False
        self._listens_in: int | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._heard_samples = 0

    @property
    def heard_s(self) -> float:
        """Seconds of audio so far."""
        return self._heard_samples / SAMPLE_RATE_HZ

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._started and not self._over.is_set()

    def run(self) -> None:
        """Listen here until the audio ends, `stop` is called, or the user presses Ctrl-C.

        Raises:
            ConfigError: it has listened before.
            Exception: what a function of the user's, the source or the interpreter raises.
        """
        self._begin()
        self._listens_in = threading.get_ident()
        try:
            self._listen()
        except KeyboardInterrupt:
            pass
        finally:
            self._over.set()

    def start(self) -> None:
        """Listen in a thread of its own.

        Raises:
            ConfigError: it has listened before.
        """
        self._begin()
        self._thread = threading.Thread(target=self._run_in_thread, name="listener", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """End listening, from any thread or from within a callback; may be called again and again.

        Outside of a callback it waits for the end.

        Raises:
            AudioError: the source gives nothing for so long that the end does not come.
            Exception: what ended a listening that runs in a thread.
        """
        self._stopping.set()
        self.join(timeout_s=timeout_s)
        if self.running and threading.get_ident() != self._listens_in:
            raise AudioError("the source of audio does not answer", got=f"nothing for {timeout_s:g} s")

    def join(self, *, timeout_s: float | None = None) -> None:
        """Wait for the end of listening.

        Args:
            timeout_s: at most so long. None: for ever.

        Raises:
            Exception: what ended a listening that runs in a thread; once.
        """
        if not self._started or threading.get_ident() == self._listens_in:
            return
        self._over.wait(timeout_s)
        if self._over.is_set() and self._error is not None:
            error, self._error = self._error, None
            raise error

    def _begin(self) -> None:
        if self._started:
            raise ConfigError("this listener has been used", expected="a new one for each listening")
        self._started = True

    def _run_in_thread(self) -> None:
        self._listens_in = threading.get_ident()
        try:
            self._listen()
        except BaseException as error:
            self._error = error
            _LOG.error("listening has ended: %s", error, exc_info=error)
        finally:
            self._over.set()

    def _listen(self) -> None:
        begin_s = 0.0
        try:
            for chunk in self._source:
                if self._stopping.is_set():
                    break
                if chunk is None:
                    self._interpreter.reset()
                    begin_s = self.heard_s
                    if self._on_gap is not None:
                        self._on_gap()
                else:
                    self._take(chunk, begin_s)
                if self._stopping.is_set():
                    break
        finally:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()

    def _take(self, chunk: Samples, begin_s: float) -> None:
        if self._on_audio is not None:
            self._on_audio(chunk)
        result = self._interpreter.predict(chunk, **self._options)
        self._heard_samples += len(chunk)
        if self._on_score is not None:
            self._on_score(result.score, result.gate_score)
        if self._on_result is not None:
            self._on_result(_later(result, begin_s))
        if self._on_detection is not None:
            for detection in result.detections:
                self._on_detection(detection.model, detection.score)


def print_detection(model: str, score: float) -> None:
    """What is done with a detection where nothing else is."""
    print(f"{model}  {score:.3f}", flush=True)


def _later(result: DetectionResult, seconds: float) -> DetectionResult:
    """A result whose times count from an earlier moment."""
    if not seconds or not result.detections:
        return result
    moved = tuple(
        replace(detection, start_s=detection.start_s + seconds, end_s=detection.end_s + seconds)
        for detection in result.detections
    )
    return replace(result, detections=moved)
