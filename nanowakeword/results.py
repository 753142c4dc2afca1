"""What a detector answers: events on a stream's own clock, and the result of one ``predict``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Detection", "DetectionResult"]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A phrase was heard.

    A detection is made of the hops that fired it: one hop at or above the threshold, or as many in a row as the
    patience asks for. It is known as soon as the last of them is complete.

    Attributes:
        phrase: what was heard.
        score: highest score of those hops, between 0 and 1.
        start_s: start of the first of them, seconds from the first sample of the stream.
        end_s: end of the last of them, seconds from the first sample of the stream.
        model: name of the model that heard it.
    """

    phrase: str
    score: float
    start_s: float
    end_s: float
    model: str


@dataclass(frozen=True, kw_only=True)
class DetectionResult:
    """Answer of `NanoInterpreter.predict` to one chunk of audio.

    It reads like a mapping from model names to scores, too: ``result["hey_nano"]``, ``"hey_nano" in result``,
    ``result.get("hey_nano", 0.0)``.

    Attributes:
        scores: score of each model: the highest of the hops that the chunk completed, 0.0 where it completed none.
            Hops that the caller's own ``patience`` or ``debounce_time`` held back count as 0.0.
        detections: phrases heard in this chunk, oldest first.
    """

    scores: Mapping[str, float]
    detections: tuple[Detection, ...] = field(default=())

    @property
    def model_name(self) -> str:
        """The model that fired, or else the one with the highest score."""
        if self.detections:
            return self.detections[0].model
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def score(self) -> float:
        """Highest score of all models."""
        return max(self.scores.values())

    @property
    def detected(self) -> bool:
        """Whether a model fired in this chunk: once per phrase, not once per hop."""
        return bool(self.detections)

    def get(self, model: str, default: float = 0.0) -> float:
        """Score of a model by its name, or the default for an unknown name."""
        return self.scores.get(model, default)

    def __getitem__(self, model: str) -> float:
        return self.scores[model]

    def __contains__(self, model: object) -> bool:
        return model in self.scores

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)
