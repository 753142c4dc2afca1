"""The engine: the models, and the streams that they listen to.

Streams reach the models only through `Engine.feed`. Inference runs on threads of its own and never in the event loop,
and streams that wait at the same moment are judged in one run.

A stream keeps the models that it opened with: where one is replaced, `Engine.replaced` tells; where one is removed, the
stream ends with the error that a stream gets that asks for it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from serving.batching import Batcher, BatchMetrics
from serving.capacity import PULSE_S, Capacity
from serving.capture import Capture
from serving.config import ServerConfig
from serving.errors import ProtocolError, UnknownModelError
from serving.lane import Lane
from serving.library import Library
from serving.models import Selection, ServedModel
from serving.seat import Seat
from serving.session import Heard, Session

__all__ = ["Engine"]


class Engine:
    """Runs models for the streams of one event loop; a context manager that ends its threads. Use `load`.

    Args:
        library: the models.
        batcher: judges.
        capacity: counts.
        capture: keeps what was heard; None: nothing is kept.
    """

    def __init__(self, library: Library, *, batcher: Batcher, capacity: Capacity, capture: Capture | None) -> None:
        self._library = library
        self._batcher = batcher
        self._capacity = capacity
        self._capture = capture
        # Only lanes with streams, by kind of input and models.
        self._lanes: dict[tuple[bool, tuple[ServedModel, ...]], Lane] = {}
        self._beating = False

    @classmethod
    def load(cls, config: ServerConfig, *, metrics: BatchMetrics | None = None, worker: int = 0) -> Self:
        """Load the models of a server and start the threads.

        Args:
            config: settings.
            metrics: gets figures of each batch; None: nobody does.
            worker: number of this process among those that share the port.

        Raises:
            ConfigError: two models have one name, a model has nothing for the pipeline, or there is none at all.
            ModelError: a file is missing, damaged, or not a model.
            StorageError: the folder for recordings cannot be made or written to.
        """
        library = Library(config)
        try:
            capture = _make_capture(config, worker)
        except BaseException:
            library.close()
            raise
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(
            library,
            batcher=Batcher(threads=config.threads, max_batch=config.max_batch, metrics=metrics),
            capacity=Capacity(threads=config.threads, cores=cores / config.workers, max_streams=config.max_streams),
            capture=capture,
        )

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """The models served now, the default one first."""
        return self._library.models

    @property
    def open_streams(self) -> int:
        """Streams open now."""
        return self._capacity.streams

    def open(
        self,
        selections: Sequence[Selection],
        *,
        verifier_only: bool = False,
        made_by: Sequence[str] = (),
        pre_roll_hops: int = 0,
    ) -> Session:
        """A session for a new stream; without a selection it gets the default model. `close_session` ends it.

        Args:
            selections: the models.
            verifier_only: whether features will come, and not audio.
            made_by: front ends that make the features, as the protocol writes them; empty: not known.
            pre_roll_hops: hops at the beginning in which nothing fires.

        Raises:
            ConfigError: a threshold is out of range, or a card knows no threshold for a budget.
            OverloadError: the server is full.
            ProtocolError: a model is asked for twice, or is not served this way, or takes other features.
            UnknownModelError: a model is not here.
        """
        generation = self._library.generation
        chosen: dict[str, ServedModel] = {}
        judges = {}
        for selection in selections or (Selection(),):
            model = self._library.find(selection.name)
            if model.name in chosen:
                raise ProtocolError(f"model {model.name!r} is asked for twice", expected="each model once")
            chosen[model.name] = model
            judges[model.name] = model.judge(selection)
        models = list(chosen.values())
        if verifier_only:
            for model in models:
                # All are fed the same features: those of the first, if the client does not tell whose they are.
                model.for_features(made_by=made_by or models[0].front_ends)
        key = (verifier_only, tuple(sorted(models, key=lambda model: (model.heads is not None, model.name))))
        lane = self._lanes.get(key) or Lane(key[1], takes_features=verifier_only)
        self._capacity.admit(lane.cost_s)
        self._lanes[key] = lane
        if not self._beating:
            self._beating = True
            self._beat(asyncio.get_running_loop(), time.process_time())
        session = Session(Seat(lane), judges=judges, models=chosen, generation=generation, pre_roll_hops=pre_roll_hops)
        if self._capture is not None and not verifier_only:
            session.captured = self._capture.watch(session.thresholds)
        return session

    def feed(self, session: Session, piece: Any) -> Coroutine[Any, Any, Heard]:
        """Let a session listen to int16 audio ``[n]`` or features ``[k*r, f]``; one call per session at a time.

        Raises:
            AudioError: the audio is not int16 or not mono.
            ProtocolError: features that no audio gives.
            UnknownModelError: one of its models was removed.
        """
        if session.generation != self._library.generation:
            self._catch_up(session)
        return self._judge(session, session.take(piece))

    async def finish(self, session: Session) -> Heard:
        """Tell a session that its audio is over: its last hop is completed with silence."""
        return await self._judge(session, session.rest())

    def close_session(self, session: Session) -> None:
        """The stream has ended, one way or another. Harmless when it already has."""
        if not session.is_open:
            return
        session.is_open = False
        lane = session.seat.lane
        self._capacity.release(lane.cost_s)
        self._batcher.leave(session.seat)
        if not lane.streams:
            self._lanes = {key: other for key, other in self._lanes.items() if other is not lane}
        if session.captured is not None:
            session.captured.end()

    def replaced(self, session: Session) -> Sequence[str]:
        """Names of the session's models that were replaced by newer files since the last call."""
        if not session.replaced:
            return ()
        names, session.replaced = session.replaced, []
        return names

    def close(self) -> None:
        """End the threads, after what they are doing now."""
        self._library.close()
        self._batcher.close()
        if self._capture is not None:
            self._capture.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _judge(self, session: Session, hops: Any) -> Heard:
        if not len(hops):
            return session.judge(None)
        heard = session.judge(await self._batcher.submit(session.seat, hops))
        if session.captured is not None:
            session.captured.feed(hops, heard.scores, heard.detections)
        return heard

    def _catch_up(self, session: Session) -> None:
        """See what has become of the models of a stream."""
        session.generation = self._library.generation
        now = {model.name: model for model in self._library.models}
        for name, model in session.models.items():
            if name not in now:
                raise UnknownModelError(f"model {name!r} was removed", expected=", ".join(now) or "no model")
            if now[name] is not model:
                session.models[name] = now[name]
                session.replaced.append(name)

    def _beat(self, loop: asyncio.AbstractEventLoop, used_s: float) -> None:
        """Look at the load four times a second, as long as streams are open."""
        due_s = loop.time() + PULSE_S

        def beat() -> None:
            now_s = time.process_time()
            load = self._batcher.take_load()
            if not self._capacity.streams:
                self._beating = False
                self._capacity.quieten()
                return
            # The loop's own delay counts: audio that it has not read waits, too.
            delay_s = load.wait_s + loop.time() - due_s
            self._capacity.observe(pieces=load.pieces, cost_s=load.cost_s, used_s=now_s - used_s, delay_s=delay_s)
            self._beat(loop, now_s)

        loop.call_at(due_s, beat)


def _make_capture(config: ServerConfig, worker: int) -> Capture | None:
    if config.capture_dir is None:
        return None
    folder = config.capture_dir if config.workers == 1 else config.capture_dir / f"worker_{worker}"
    return Capture(folder, max_mb=config.capture_max_mb / config.workers, near_misses=config.capture_near_miss)
