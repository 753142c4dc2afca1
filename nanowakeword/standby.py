"""A scorer that sleeps until something wakes it, and then catches up.

Most audio is nobody saying the phrase. A cheap trigger (a voice activity detector, or the gate: a tiny model of the
same phrase) listens all the time; what stands behind it runs only while the trigger is on and for a while after.

Short sleep costs nothing: the audio that was missed waits in a ring and is fed when it is over, so that the state is
what it would have been. After a sleep longer than the ring, the scorer starts anew on the ring's audio, which reaches
back as far as any of its scores do. Either way the phrase that woke it is judged whole. Hops more than
``lookback_hops`` before the one that woke it are never judged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nanowakeword.arrays import Samples
from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.postfilter import check_threshold
from nanowakeword.ring import HopRing
from nanowakeword.scorer import Judged, LocalScorer, Scorer, Trigger
from nanowakeword.timing import HOP_S, HOP_SAMPLES

__all__ = ["HOLD_S", "LOOKBACK_S", "GateTrigger", "Standby"]

# A gate's score may leave its threshold before the verifier's reaches its own.
HOLD_S: Final = 0.8
# And it may rise after the verifier's would have.
LOOKBACK_S: Final = 0.48
_NO_AUDIO: Final[Samples] = np.zeros(0, np.int16)


class GateTrigger:
    """A model as a trigger: on while its score is at or above a threshold.

    Args:
        graph: the model, such as the gate ``NAME_lite.onnx``.
        threshold: above 0 and at most 1. None: the model's own.

    Raises:
        ConfigError: the threshold is out of range.
    """

    def __init__(self, graph: Graph, *, threshold: float | None = None) -> None:
        self.name = graph.card.name
        self.threshold = graph.card.threshold if threshold is None else check_threshold(threshold)
        self._scorer = LocalScorer([graph])
        self._score = 0.0

    @property
    def context_hops(self) -> int:
        """Past hops that can change a decision."""
        return self._scorer.context_hops

    @property
    def score(self) -> float:
        """Highest score of the hops of the last `feed`, 0.0 if there were none."""
        return self._score

    def reset(self) -> None:
        """Begin a new stream."""
        self._scorer.reset()
        self._score = 0.0

    def feed(self, hops: Samples) -> NDArray[np.bool_]:
        """Whether each of the next hops reaches the threshold."""
        judged = self._scorer.feed(hops)
        if not judged:
            self._score = 0.0
            return np.zeros(0, np.bool_)
        scores = judged[0].scores[self.name]
        self._score = float(scores.max())
        decisions: NDArray[np.bool_] = scores >= self.threshold
        return decisions


class Standby:
    """Runs a scorer only while a trigger wants it; is itself a scorer.

    Args:
        scorer: what sleeps.
        trigger: what wakes it.
        hold_s: how long it stays awake after the last hop that the trigger wanted.
        lookback_s: how far before the hop that woke it hops are judged, too.
    """

    def __init__(
        self, scorer: Scorer, trigger: Trigger, *, hold_s: float = HOLD_S, lookback_s: float = LOOKBACK_S
    ) -> None:
        if hold_s < 0.0 or lookback_s < 0.0:
            raise ConfigError("bad time of a standby", got=min(hold_s, lookback_s), expected="0 seconds or more")
        self._scorer = scorer
        self._trigger = trigger
        self._hold_hops = round(hold_s / HOP_S)
        self._lookback_hops = round(lookback_s / HOP_S)
        self._ring_hops = scorer.context_hops + self._lookback_hops
        self._ring = HopRing(self._ring_hops)
        self._offset = 0  # our number of the scorer's hop 0
        self.reset()

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """Those of what sleeps."""
        return self._scorer.cards

    @property
    def context_hops(self) -> int:
        """Past hops that can change a score, or whether there is one."""
        return max(self._ring_hops, self._trigger.context_hops + self._hold_hops)

    @property
    def hops(self) -> int:
        """Hops heard since the last reset."""
        return self._ring.hops

    @property
    def run_hops(self) -> int:
        """Hops that the scorer ran since the last reset, those of catching up included."""
        return self._run_hops

    def reset(self) -> None:
        """Begin a new stream, asleep."""
        self._trigger.reset()
        self._ring.clear()
        self._awake_until = 0  # number of the first hop that the last wish does not cover
        self._fed_until = 0  # number of the first hop that the scorer has not heard
        self._run_hops = 0
        self._begin()

    def feed(self, hops: Samples) -> list[Judged]:
        """Take the next hops; while asleep there is nothing to return but late answers."""
        answers: list[Judged] = []
        ran = False
        wishes = self._trigger.feed(hops)
        for start, end, awake in self._stretches(wishes):
            audio = hops[start * HOP_SAMPLES : end * HOP_SAMPLES]
            if awake:
                ran = True
                answers += self._run(audio)
            self._ring.append(audio)
            if not self._fresh and self._ring.hops - self._fed_until > self._ring_hops:
                self._begin()  # it cannot be fed without a gap any more: a remote one closes its stream
        return answers if ran else self._translate(self._scorer.feed(_NO_AUDIO))

    def _begin(self) -> None:
        """Let the scorer begin a new stream, wherever it will next be fed."""
        self._scorer.reset()
        self._fresh = True
        # Hops that the scorer hears for their effect only. Its answers may come late: they are told by their number.
        self._unjudged: deque[range] = deque()

    def _stretches(self, wishes: NDArray[np.bool_]) -> Iterator[tuple[int, int, bool]]:
        """Start, end and state of each stretch of one state, by the number of its hops within the piece."""
        first = self._ring.hops
        start, state = 0, False
        for index, wish in enumerate(wishes.tolist()):
            if wish:
                self._awake_until = first + index + 1 + self._hold_hops
            awake = first + index < self._awake_until
            if awake != state and index > start:
                yield start, index, state
                start = index
            state = awake
        if len(wishes):
            yield start, len(wishes), state

    def _run(self, audio: Samples) -> list[Judged]:
        """Feed the scorer what it missed, and the next hops."""
        first = self._ring.hops
        start = max(self._fed_until, first - self._ring_hops)
        if self._fresh:
            self._fresh = False
            self._offset = start
        if first - self._lookback_hops > start:
            self._unjudged.append(range(start, first - self._lookback_hops))
        if start < first:
            audio = np.concatenate([self._ring.between(start, first), audio])
        self._fed_until = start + len(audio) // HOP_SAMPLES
        self._run_hops += len(audio) // HOP_SAMPLES
        return self._translate(self._scorer.feed(audio))

    def _translate(self, answers: list[Judged]) -> list[Judged]:
        """Our numbers in place of the scorer's, and only hops that are to be judged."""
        kept = []
        for answer in answers:
            first = answer.first_hop + self._offset
            end = first + len(next(iter(answer.scores.values())))
            while self._unjudged and self._unjudged[0].stop <= first:
                self._unjudged.popleft()
            hop = first
            for unjudged in self._unjudged:
                if unjudged.start >= end:
                    break
                kept += _part(answer, first, hop, unjudged.start)
                hop = unjudged.stop
            kept += _part(answer, first, hop, end)
        return kept


def _part(answer: Judged, first: int, start: int, end: int) -> list[Judged]:
    """The hops ``start`` to ``end`` - 1 of an answer that begins with hop ``first``, if there are any."""
    if start >= end:
        return []
    scores = {name: values[start - first : end - first] for name, values in answer.scores.items()}
    return [Judged(first_hop=start, scores=scores)]
