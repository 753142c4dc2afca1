"""One stream's way from chunks of audio to results: the chain's scores, through filters, past the owner's guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nanowakeword.arrays import Floats, Samples
from nanowakeword.card import ModelCard
from nanowakeword.chain import Chain
from nanowakeword.guard import OwnerGuard
from nanowakeword.postfilter import PostFilter
from nanowakeword.results import Detection, DetectionResult
from nanowakeword.rules import Rules
from nanowakeword.stream import HopBuffer, to_detection

__all__ = ["Hearing"]


class Hearing:
    """Listens to one stream.

    Args:
        chain: from audio to scores.
        guard: lets only the owner's voice through; None: all voices.

    Attributes:
        raw_scores: highest score of each model in the last chunk, whatever the filters made of it.
    """

    def __init__(self, chain: Chain, guard: OwnerGuard | None) -> None:
        self.chain = chain
        self._guard = guard
        self.reset()

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """Model cards by model name; a server's once it has told its models."""
        return self.chain.scorer.cards

    def reset(self) -> None:
        """Begin a new stream, as after long silence."""
        self._buffer = HopBuffer()
        self._filters: dict[str, PostFilter] = {}
        self.chain.reset()
        if self._guard is not None:
            self._guard.reset()
        self.raw_scores = dict.fromkeys(self.cards, 0.0)

    def hear(self, chunk: Samples, rules_now: Callable[[], Mapping[str, Rules]], *, withhold: bool) -> DetectionResult:
        """Take the next chunk.

        Args:
            chunk: int16 ``[n]``, any ``n``.
            rules_now: makes the rules of all models that are known by then. What it raises costs no audio.
            withhold: let hops that reach the threshold without firing count as 0.0.
        """
        rules = rules_now()
        chain = self.chain
        hops = self._buffer.take(chunk)
        if chain.denoiser is not None:
            hops = chain.denoiser.feed(hops)
        if self._guard is not None:
            self._guard.hear(hops)
            withhold = True  # a score that the owner did not cause must not pass for one
        raw_scores = dict.fromkeys(self.cards, 0.0)
        scores = dict(raw_scores) if withhold else raw_scores
        detections: list[Detection] = []
        refused: list[Detection] = []
        for judged in chain.scorer.feed(hops):
            for name, values in judged.scores.items():
                if name not in rules:  # a server has told its models meanwhile
                    rules = rules_now()
                raw_scores[name] = max(raw_scores.get(name, 0.0), _highest(values))
                found = self._detect(name, judged.first_hop, values, rules[name])
                if found and self._guard is not None:
                    found, others = self._guard.judge(found)
                    refused += others
                if withhold:
                    low = (value for value in values.tolist() if value < rules[name].threshold)
                    scores[name] = max(scores.get(name, 0.0), *low, *(item.score for item in found), 0.0)
                detections += found
        if len(detections) > 1:
            detections.sort(key=lambda detection: detection.end_s)
        self.raw_scores = raw_scores
        return DetectionResult(
            scores=scores,
            detections=tuple(detections),
            refused=tuple(refused),
            gate_score=0.0 if chain.gate is None else chain.gate.score,
            gate_name=None if chain.gate is None else chain.gate.name,
            remote_error=None if chain.remote is None else chain.remote.error,
        )

    def _detect(self, name: str, first_hop: int, scores: Floats, rules: Rules) -> list[Detection]:
        """What one model's scores say."""
        if (postfilter := self._filters.get(name)) is None:
            postfilter = self._filters[name] = PostFilter()
        if postfilter.hops != first_hop:
            postfilter.skip(first_hop - postfilter.hops)
        events = postfilter.push(scores, **rules._asdict())
        return [to_detection(event, card=self.cards[name], patience=rules.patience) for event in events]


def _highest(scores: Floats) -> float:
    return float(scores.item() if len(scores) == 1 else scores.max())
