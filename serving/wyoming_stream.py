"""One stream of audio of a Wyoming client, from ``audio-start`` to ``audio-stop``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wyoming.wake import Detection

from nanowakeword import results
from nanowakeword.arrays import Samples
from nanowakeword.timing import SAMPLE_RATE_HZ
from serving.caller import Caller
from serving.engine import Engine
from serving.errors import OverloadError
from serving.guard import Guard
from serving.metrics import Metrics
from serving.models import Selection
from serving.wyoming_audio import AudioFormat, ToModels

__all__ = ["WyomingStream"]

# Beyond it, milliseconds are no whole numbers any more.
_LATEST_MS: Final = 2**53


class WyomingStream:
    """Counted and judged like any other stream of the server, until it is closed.

    Args:
        selections: the models.
        caller: whose it is.
        engine: judges.
        guard: counts.
        metrics: counts, too.

    Attributes:
        has_heard: whether a phrase was heard in it.

    Raises:
        LimitError: the caller has too many streams.
        OverloadError: the server has.
        ProtocolError: a model is asked for twice, or takes no audio.
        UnknownModelError: a model is not here.
    """

    def __init__(
        self, selections: Sequence[Selection], *, caller: Caller, engine: Engine, guard: Guard, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self.has_heard = False
        self._converter: ToModels | None = None
        self._came_s = 0.0
        # What the client's clock says at the first sample.
        self._origin_ms = 0.0
        with contextlib.ExitStack() as stack:
            try:
                self._lease = stack.enter_context(guard.open_stream(caller))
                self._session = engine.open(selections)
            except OverloadError:
                metrics.refused("overload")
                raise
            stack.callback(engine.close_session, self._session)
            metrics.stream_opened()
            stack.callback(metrics.stream_closed)
            self._held = stack.pop_all()

    async def feed(self, data: Mapping[str, Any], payload: bytes) -> list[Detection]:
        """Listen to what an ``audio-chunk`` carries, and return what was heard, oldest first.

        Args:
            data: its format and, if the client tells it, the time of its first sample, milliseconds.
            payload: its audio.

        Raises:
            ConfigError: the rate is no sample rate.
            DependencyError: the rate is another than 16 kHz, and soxr is not installed.
            LimitError: too much audio.
            ProtocolError: the format is wrong.
            UnknownModelError: one of its models was removed.
        """
        audio = AudioFormat.read(data)
        heard: list[Detection] = []
        if self._converter is None or self._converter.format != audio:
            if self._converter is not None:
                heard += await self._judge(self._converter.finish())
            self._converter = ToModels(audio)
        if (timestamp_ms := _read_timestamp(data)) is not None:
            self._origin_ms = timestamp_ms - self._came_s * 1_000
        for piece in self._converter.feed(payload):
            heard += await self._judge(piece)
        self._came_s += len(payload) / audio.frame_bytes / audio.rate_hz
        self._metrics.chunk()
        return heard

    async def finish(self) -> list[Detection]:
        """Listen to what is left, completed with silence."""
        heard = [] if self._converter is None else await self._judge(self._converter.finish())
        return heard + self._told((await self._engine.finish(self._session)).detections)

    def close(self) -> None:
        """The stream is over. Harmless when it already is."""
        self._held.close()

    async def _judge(self, piece: Samples) -> list[Detection]:
        self._lease.charge(len(piece) / SAMPLE_RATE_HZ)
        return self._told((await self._engine.feed(self._session, piece)).detections)

    def _told(self, detections: Sequence[results.Detection]) -> list[Detection]:
        for detection in detections:
            self.has_heard = True
            self._metrics.detection(detection.model)
        return [
            Detection(name=detection.model, timestamp=max(0, round(self._origin_ms + detection.end_s * 1_000)))
            for detection in detections
        ]


def _read_timestamp(data: Mapping[str, Any]) -> float | None:
    """Milliseconds on a client's clock; None where it tells none, or nonsense."""
    value = data.get("timestamp")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < _LATEST_MS else None
