"""One connection of a Wyoming client: what comes, and what is answered. One event at a time, so a flood waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event, Eventable
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

from serving.engine import Engine
from serving.errors import ProtocolError
from serving.models import Selection
from serving.streams import OpenStream
from serving.wyoming_audio import AudioFormat
from serving.wyoming_info import takes_audio, write_info
from serving.wyoming_stream import WyomingStream
from serving.wyoming_wire import read_event, write_event

__all__ = ["Connection"]

_MOST_NAMES: Final = 64


class Connection:
    """Serves a client until it leaves.

    Args:
        reader: what comes.
        writer: what goes.
        engine: its models are told.
        open_stream: makes a stream for some models.
        waiting: is told whose turn it is.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        engine: Engine,
        open_stream: Callable[[Sequence[Selection]], WyomingStream],
        waiting: OpenStream,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._engine = engine
        self._open_stream = open_stream
        self._waiting = waiting
        self._names: list[str] = []
        self._context: dict[str, Any] | None = None
        self._stream: WyomingStream | None = None

    @property
    def listens(self) -> bool:
        """Whether a stream of audio is open."""
        return self._stream is not None

    async def serve(self, *, draining: Callable[[], bool]) -> None:
        """Answer until the client leaves, or, once the server drains, until no stream is open.

        Raises:
            ConnectionError: the client left in the middle of an answer.
            NanoWakewordError: the client did what the protocol does not allow, or a limit was reached.
        """
        try:
            while self.listens or not draining():
                self._waiting.wait()
                event = await read_event(self._reader)
                if event is None:
                    return
                self._waiting.work()
                await self._handle(event)
                # What a flood left in the buffer would otherwise be answered in one go, and everybody else wait.
                await asyncio.sleep(0)
        finally:
            self._close_stream()

    async def _handle(self, event: Event) -> None:
        """Answer one event; what is meant for other services is passed over, as the protocol wants it."""
        kind = event.type
        if AudioChunk.is_type(kind):
            stream = self._stream or self._begin()
            await self._tell(await stream.feed(event.data, event.payload or b""))
        elif AudioStart.is_type(kind):
            AudioFormat.read(event.data)  # a bad one is told before any audio
            self._close_stream()
            self._begin()
        elif AudioStop.is_type(kind):
            await self._end()
        elif Detect.is_type(kind):
            self._choose(Detect.from_event(event))
        elif Describe.is_type(kind):
            await self._send(write_info(self._engine.models))
        elif Ping.is_type(kind):
            await self._send(Pong(text=Ping.from_event(event).text))

    def _choose(self, detect: Detect) -> None:
        """Take the models for what comes now. Satellites that never stop sending audio begin anew in this way."""
        names = detect.names or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > _MOST_NAMES:
            raise ProtocolError("bad names to detect", expected=f"a list of at most {_MOST_NAMES} names of models")
        self._close_stream()
        self._names = list(dict.fromkeys(names))
        self._context = detect.context if isinstance(detect.context, dict) else None

    def _begin(self) -> WyomingStream:
        names = self._names
        if not names:
            # Any wake word: a gate hears the same phrase as its detector, only worse.
            models = takes_audio(self._engine.models)
            names = [model.name for model in models if model.card.kind != "gate"] or [model.name for model in models]
        self._stream = self._open_stream([Selection(name=name) for name in names])
        return self._stream

    async def _end(self) -> None:
        if self._stream is None:
            return
        await self._tell(await self._stream.finish())
        has_heard = self._stream.has_heard
        self._close_stream()
        if not has_heard:
            await self._send(NotDetected(context=self._context))

    async def _tell(self, detections: Sequence[Detection]) -> None:
        for detection in detections:
            detection.context = self._context
            await self._send(detection)

    async def _send(self, answer: Eventable) -> None:
        self._waiting.wait()
        await write_event(answer.event(), self._writer)

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
