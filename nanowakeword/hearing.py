"""One stream's way from chunks of audio to results: the chain's scores, through filters, past the owner's guard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from nanowakeword.arrays import Floats, Samples
from nanowakeword.card import ModelCard
from nanowakeword.chain import Chain
from nanowakeword.guard import OwnerGuard
from nanowakeword.postfilter import PostFilter
from nanowakeword.resampling import ToMono16k
from nanowakeword.results import Detection, DetectionResult
from nanowakeword.rules import Rules
from nanowakeword.scorer import RUN_HOPS
from nanowakeword.stream import HopBuffer, to_detection
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["Hearing"]

_PART_SAMPLES: Final = RUN_HOPS * HOP_SAMPLES


class Hearing:
    """Listens to one stream.

    Args:
        chain: from audio to scores.
        guard: lets only the owner's voice through; None: all voices.
        converter: for audio of another rate; None: it is 16 kHz.

    Attributes:
        raw_scores: highest score of each model in the last chunk, whatever the filters made of it.
    """

    def __init__(self, chain: Chain, guard: OwnerGuard | None, converter: ToMono16k | None) -> None:
        self.chain = chain
        self._guard = guard
        self._converter = converter
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
        if self._converter is not None:
            self._converter.reset()
        self.raw_scores = dict.fromkeys(self.cards, 0.0)

    def hear(self, chunk: Samples, rules_now: Callable[[], Mapping[str, Rules]], *, withhold: bool) -> DetectionResult:
        """Take the next chunk.

        Args:
            chunk: int16 ``[n]``, any ``n``.
            rules_now: makes the rules of all models that are known by then. What it raises costs no audio.
            withhold: let hops that reach the threshold without firing count as 0.0.
        """
        rules = rules_now()
        # A score that the owner did not cause must not pass for one.
        heard = _Heard(self.cards, withhold=withhold or self._guard is not None)
        hops = self._buffer.take(chunk if self._converter is None else self._converter.feed(chunk))
        # An hour of audio at once would need many times its size on the way, and outgrow what the rings keep.
        for start in range(0, max(len(hops), 1), _PART_SAMPLES):
            rules = self._hear(hops[start : start + _PART_SAMPLES], heard, rules, rules_now)
        self.raw_scores = heard.raw_scores
        chain = self.chain
        return DetectionResult(
            scores=heard.scores,
            detections=tuple(sorted(heard.detections, key=lambda detection: detection.end_s)),
            refused=tuple(heard.refused),
            gate_score=heard.gate_score,
            gate_name=None if chain.gate is None else chain.gate.name,
            remote_error=None if chain.remote is None else chain.remote.error,
        )

    def _hear(
        self,
        hops: Samples,
        heard: _Heard,
        rules: Mapping[str, Rules],
        rules_now: Callable[[], Mapping[str, Rules]],
    ) -> Mapping[str, Rules]:
        """Take some hops; returns the rules that hold by now."""
        if self.chain.denoiser is not None:
            hops = self.chain.denoiser.feed(hops)
        if self._guard is not None:
            self._guard.hear(hops)
        for judged in self.chain.scorer.feed(hops):
            for name, values in judged.scores.items():
                if name not in rules:  # a server has told its models meanwhile
                    rules = rules_now()
                found = self._detect(name, judged.first_hop, values, rules[name])
                refused: list[Detection] = []
                if found and self._guard is not None:
                    found, refused = self._guard.judge(found)
                heard.add(name, values, found, refused, threshold=rules[name].threshold)
        if self.chain.gate is not None:
            heard.gate_score = max(heard.gate_score, self.chain.gate.score)
        return rules

    def _detect(self, name: str, first_hop: int, scores: Floats, rules: Rules) -> list[Detection]:
        """What one model's scores say."""
        if (postfilter := self._filters.get(name)) is None:
            postfilter = self._filters[name] = PostFilter()
        if postfilter.hops != first_hop:
            postfilter.skip(first_hop - postfilter.hops)
        events = postfilter.push(scores, **rules._asdict())
        return [to_detection(event, card=self.cards[name], patience=rules.patience) for event in events]


class _Heard:
    """What one chunk gives, while it is put together."""

    def __init__(self, names: Iterable[str], *, withhold: bool) -> None:
        self.raw_scores = dict.fromkeys(names, 0.0)
        self.scores = dict(self.raw_scores) if withhold else self.raw_scores
        self.detections: list[Detection] = []
        self.refused: list[Detection] = []
        self.gate_score = 0.0
        self._withhold = withhold

    def add(
        self,
        name: str,
        scores: Floats,
        detections: Sequence[Detection],
        refused: Sequence[Detection],
        *,
        threshold: float,
    ) -> None:
        """Add scores of one model, and what came of them."""
        highest = float(scores.item() if len(scores) == 1 else scores.max())
        self.raw_scores[name] = max(self.raw_scores.get(name, 0.0), highest)
        if self._withhold:
            low = (score for score in scores.tolist() if score < threshold)
            self.scores[name] = max(self.scores.get(name, 0.0), *low, *(item.score for item in detections), 0.0)
        self.detections += detections
        self.refused += refused
