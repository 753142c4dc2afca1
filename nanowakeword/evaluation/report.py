"""What an evaluation found: figures with limits, the curve behind them, and the recordings to listen to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from nanowakeword.evaluation.false_accepts import FalseAccept
from nanowakeword.evaluation.limits import CONFIDENCE, Rate
from nanowakeword.evaluation.recordings import LeftOut

__all__ = ["CurvePoint", "HardClip", "OperatingPoint", "Report"]


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A model at one threshold.

    Attributes:
        name: what reports call it.
        budget_fa_per_hour: false accepts per hour that the threshold was chosen for; None for one that was given.
        threshold: None where even a threshold of 1 accepts more than the budget.
        false_accepts: per hour.
        misses: share of the clips that were missed, by condition, such as ``clean``.
        note: what the reader must know about the figures, or None.
    """

    name: str
    budget_fa_per_hour: float | None
    threshold: float | None
    false_accepts: Rate
    misses: dict[str, Rate]
    note: str | None


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A point of the DET curve.

    Attributes:
        threshold: lowest one with this many false accepts.
        fa_per_hour: false accepts per hour.
        miss_rate: share of the clips missed, by condition.
    """

    threshold: float
    fa_per_hour: float
    miss_rate: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class HardClip:
    """A clip of the phrase with a low score.

    Attributes:
        name: of the recording.
        score: its highest.
    """

    name: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """Result of an evaluation.

    Attributes:
        model: name of the model.
        phrase: what it hears.
        positives: recordings of the phrase.
        negatives: recordings without it.
        hours: length of the negatives.
        points: one per budget, then one per given threshold.
        curve: DET curve, by falling threshold.
        hard_clips: clips with the lowest scores, by condition, the lowest first.
        hard_negatives: what in the negatives sounds most like the phrase, the highest score first.
        left_out: recordings that could not be read and are part of no figure.
    """

    model: str
    phrase: str
    positives: int
    negatives: int
    hours: float
    points: tuple[OperatingPoint, ...]
    curve: tuple[CurvePoint, ...]
    hard_clips: dict[str, tuple[HardClip, ...]]
    hard_negatives: tuple[FalseAccept, ...]
    left_out: tuple[LeftOut, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"confidence": CONFIDENCE, **asdict(self)}

    def to_json(self) -> str:
        """All of it, as JSON text; file names that are no valid text are written with escapes."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
