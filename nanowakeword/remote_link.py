"""The worker behind a `RemoteScorer`: keeps a connection, carries hops to the server and scores back, tries again.

A *run* is a stretch of hops that follow one another, and one call of ``Detect``. A run ends where the hops do, where
more wait for the server than may, and where the server or the network fails; the next one begins as a new stream.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.card import ModelCard
from nanowakeword.errors import NanoWakewordError, RemoteError
from nanowakeword.graph import Graph
from nanowakeword.remote_call import DetectCall
from nanowakeword.remote_encoder import AudioEncoder, FeatureEncoder, front_ends
from nanowakeword.remote_models import match_models
from nanowakeword.remote_server import RemoteServer, import_grpc
from nanowakeword.scorer import Judged
from nanowakeword.timing import HOP_S, HOP_SAMPLES

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["MAX_WAITING_HOPS", "RemoteLink"]

# 10 s of audio may wait for a slow network: more than a sleeper needs to catch up, and 320 kB.
MAX_WAITING_HOPS: Final = 125
# A stream that gets no audio for so long is given back to the server.
_IDLE_S: Final = 30.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(eq=False)
class _Run:
    """Hops that follow one another.

    Attributes:
        first_hop: number of the first one, on the scorer's clock.
        queue: hops that were not sent yet.
        taken: hops that were accepted.
        sent: hops that were sent.
        judged: hops that the server has judged.
        over: whether the next hop is not part of it.
        since_s: when the server last answered, or when the first hop after that came; monotonic seconds.
    """

    first_hop: int
    queue: list[Samples] = field(default_factory=list)
    taken: int = 0
    sent: int = 0
    judged: int = 0
    over: bool = False
    since_s: float = 0.0

    @property
    def waiting(self) -> int:
        return self.taken - self.judged


class RemoteLink:
    """One thread that runs `work`; all other methods return at once and may be called from any thread.

    Args:
        server: whom to ask.
        models: names of the models to run; empty: the server's default model.
        features: the model whose features are sent; None: audio is sent.
        timeout_s: longest wait for an answer.
    """

    def __init__(
        self, server: RemoteServer, *, models: Sequence[str], features: Graph | None, timeout_s: float
    ) -> None:
        self._grpc, self._pb, _ = import_grpc()
        self._server = server
        self._models = tuple(models)
        self._features = features
        self._timeout_s = timeout_s
        self._pipeline = self._pb.PIPELINE_FULL if features is None else self._pb.PIPELINE_VERIFIER_ONLY
        self._changed = threading.Condition()
        self._stopping = False
        self._asked: Any = None
        self._failures = 0
        self._pausing = False
        self._run: _Run | None = None
        self._answers: list[Judged] = []
        self.cards: Mapping[str, ModelCard] = {}
        self.error: RemoteError | None = None

    def offer(self, hops: Samples, *, first_hop: int) -> None:
        """Take int16 ``[1280*k]`` to be judged, or as much of it as may wait; the rest never is."""
        with self._changed:
            if self._stopping or self._pausing or (self._run is not None and self._run.over):
                return
            run = self._run = self._run or _Run(first_hop)
            room = (MAX_WAITING_HOPS - run.waiting) * HOP_SAMPLES
            if len(hops) > room:
                run.over = True
                hops = hops[:room]
            if len(hops):
                if not run.waiting:
                    run.since_s = time.monotonic()
                run.queue.append(hops.copy())  # the caller may fill the same array again
                run.taken += len(hops) // HOP_SAMPLES
            self._changed.notify_all()

    def take(self) -> list[Judged]:
        """Scores that have come since the last call."""
        with self._changed:
            answers, self._answers = self._answers, []
        return answers

    def drop(self) -> None:
        """Forget the run and what was answered to it."""
        with self._changed:
            self._run = None
            self._answers = []
            self._changed.notify_all()

    def wait_judged(self, timeout_s: float) -> bool:
        """Wait until no hop waits for its score any more; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._run is None or not self._run.waiting, timeout_s)

    def wait_answered(self, timeout_s: float) -> bool:
        """Wait until the server has told its models, or it is known why not; whether it has told them."""
        with self._changed:
            self._changed.wait_for(lambda: self.cards or self.error or self._stopping, timeout_s)
            return bool(self.cards) and self.error is None

    def stop(self) -> None:
        """Let `work` return soon."""
        with self._changed:
            self._stopping = True
            self._run = None
            asked = self._asked
            self._changed.notify_all()
        if asked is not None:
            asked.cancel()

    def work(self) -> None:
        """Body of the thread: connect, serve, and after a failure try again, until `stop`."""
        while not self._stopping:
            channel = None
            try:
                channel = self._server.open_channel()
                self._connect(channel)
                self._serve(channel)
            except Exception as error:  # whatever it is, audio goes on and the next try may succeed
                self._fail(error)
            finally:
                if channel is not None:
                    channel.close()
            with self._changed:
                if self._pausing:
                    # Half of it is chance, so that many clients do not come back at one moment.
                    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._failures - 1, 10))
                    self._changed.wait_for(lambda: self._stopping, random.uniform(longest / 2, longest))  # noqa: S311
                    self._pausing = False

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, NanoWakewordError):
            error = RemoteError(f"the client of {self._server.address} failed", got=f"{type(error).__name__}: {error}")
        with self._changed:
            if self._stopping:
                return
            self.error = error if isinstance(error, RemoteError) else RemoteError(str(error))
            self._failures += 1
            self._pausing = True
            self._run = None
            self._changed.notify_all()

    def _connect(self, channel: Any) -> None:
        """Learn what the server has, and compare it with what is asked for."""
        asked = self._server.ask_models(channel, timeout_s=self._timeout_s)
        with self._changed:
            self._asked = asked
            if self._stopping:
                asked.cancel()
        found = self._server.read_models(asked, timeout_s=self._timeout_s)
        cards = match_models(found, wanted=self._models, features=self._features, address=self._server.address)
        with self._changed:
            self.cards, self.error = cards, None
            self._changed.notify_all()

    def _serve(self, channel: Any) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._run is not None)
                if self._run is None:
                    return
                run = self._run
                run.since_s = time.monotonic()
            call = DetectCall(self._server, channel, self._config(), changed=self._changed)
            try:
                self._carry(run, call)
            except Exception:
                call.cancel()
                raise

    def _config(self) -> pb.DetectConfig:
        config: pb.DetectConfig = self._pb.DetectConfig(
            models=[self._pb.ModelSelection(name=name) for name in self._models],
            output=self._pb.DETECT_OUTPUT_SCORES,
            pipeline=self._pipeline,
            front_ends=[] if self._features is None else front_ends(self._features.card),
        )
        return config

    def _carry(self, run: _Run, call: DetectCall) -> None:
        """Send a run's hops and collect their scores, until it is over, dropped, or idle.

        Raises:
            RemoteError: the server failed; what it has not judged by now never will be.
        """
        encoder = AudioEncoder() if self._features is None else FeatureEncoder(self._features)
        answered = False
        while True:
            with self._changed:
                limit_s = run.since_s + (self._timeout_s if run.waiting else _IDLE_S)
                self._changed.wait_for(
                    lambda: self._run is not run or call.ended or call.has_answers or (call.opened and run.queue),
                    limit_s - time.monotonic(),
                )
                if self._run is not run:
                    call.cancel() if run.waiting else call.finish()
                    return
                if (call.opened and not answered) or self._accept(run, call.take()):
                    answered = True
                    run.since_s = time.monotonic()
                if call.ended:
                    raise call.error or self._server.left()
                idle = time.monotonic() >= run.since_s + _IDLE_S
                if not run.waiting and (run.over or idle):
                    self._run = None
                    self._changed.notify_all()
                    call.finish()
                    return
                if run.waiting and time.monotonic() >= run.since_s + self._timeout_s:
                    what = "does not judge" if answered else "does not answer"
                    raise self._server.late(what, timeout_s=self._timeout_s)
                hops = run.queue if call.opened else []
                if hops:
                    run.queue = []
                    run.sent = run.taken
            if hops and call.opened:
                for request in encoder.encode(np.concatenate(hops), call.opened):
                    call.put(request)

    def _accept(self, run: _Run, answers: Sequence[pb.DetectResponse]) -> bool:
        """Keep the scores in the answers; whether there were any.

        Raises:
            RemoteError: they are not those of the next hops of the run.
        """
        for answer in answers:
            scores = {track.model: np.array(track.values, np.float32) for track in answer.scores}
            if not scores:
                continue
            first = {round(track.start_s / HOP_S) for track in answer.scores}
            lengths = {len(values) for values in scores.values()}
            hops = max(lengths)
            sane = all(
                np.isfinite(values).all() and 0.0 <= values.min() <= values.max() <= 1.0 for values in scores.values()
            )
            if (
                scores.keys() != self.cards.keys()
                or first != {run.judged}
                or lengths != {hops}
                or run.judged + hops > run.sent
                or not sane
            ):
                raise RemoteError(
                    f"the server at {self._server.address} answers wrongly",
                    got=f"{hops} scores of {', '.join(scores)} from hop {min(first)} on",
                    expected=f"scores of {', '.join(self.cards)} from hop {run.judged} on, between 0 and 1",
                )
            self._answers.append(Judged(first_hop=run.first_hop + run.judged, scores=scores))
            run.judged += hops
            self._failures = 0
        if answers:
            self._changed.notify_all()
        return bool(answers)
