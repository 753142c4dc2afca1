"""What a detector answers: events on a stream's own clock, and the result of one ``predict``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nanowakeword.errors import NanoWakewordError

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
        scores: score of each model: the highest of the hops that became known with this chunk, 0.0 where there are
            none, as while the model sleeps. Hops that the caller's own filters (``patience``, ``debounce_time`` and so
            on) held back count as 0.0. Empty until a server has told its models.
        detections: phrases heard, oldest first.
        refused: phrases heard that the owner's verifier did not take for the owner's voice, oldest first.
        gate_score: highest score of the gate in this chunk, 0.0 without a gate.
        gate_name: name of the gate, None without one.
        remote_error: why nothing comes from the server at the moment; None if all is well or there is no server.
    """

    scores: Mapping[str, float]
    detections: tuple[Detection, ...] = ()
    refused: tuple[Detection, ...] = ()
    gate_score: float = 0.0
    gate_name: str | None = None
    remote_error: NanoWakewordError | None = None

    @property
    def model_name(self) -> str:
        """The model that fired, or else the one with the highest score; empty until a server has told its models."""
        if self.detections:
            return self.detections[0].model
        return max(self.scores, key=self.scores.__getitem__, default="")

    @property
    def score(self) -> float:
        """Highest score of all models."""
        return max(self.scores.values(), default=0.0)

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
