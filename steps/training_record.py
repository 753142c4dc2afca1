"""What is written down while a training goes on: losses, running averages, validations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Trained", "stable_losses"]

_SMOOTHING: Final = 0.98


@dataclass(kw_only=True)
class Trained:
    """How a training went.

    Attributes:
        history: an entry per checkpoint: ``step``, ``loss`` and the other running averages, ``learning_rate``,
            ``negative_weight``, and the validation of the averaged weights.
        losses: mean loss of each batch.
        running: averages of the loss and of the scores of both classes.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    running: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> dict[str, Any]:
        """The entry with the fewest misses; among equals of the least loss, then the first."""
        return min(self.history, key=lambda entry: (entry["miss_rate"], round(entry["validation_loss"], 3)))

    @property
    def negative_weight(self) -> float:
        """What a row that is not the phrase weighs now."""
        return float(self.history[-1]["negative_weight"]) if self.history else 1.0

    def gave_up(self, patience: int | None) -> bool:
        """Whether the last ``patience`` validations brought nothing better; None: never."""
        if patience is None or not self.history:
            return False
        return len(self.history) - 1 - self.history.index(self.best) >= patience

    def add_step(self, loss: float, scores: npt.NDArray[np.floating], is_negative: npt.NDArray[np.bool_]) -> None:
        """Note a step.

        Args:
            loss: mean of its batch.
            scores: of its rows ``[b]``.
            is_negative: which of them are not the phrase, ``[b]``.
        """
        self.losses.append(loss)
        new = {
            "loss": loss,
            "positive_score": float(scores[~is_negative].mean()),
            "negative_score": float(scores[is_negative].mean()),
        }
        old = self.running or new
        self.running = {name: _smooth(old[name], value) for name, value in new.items()}

    def facts(self, *, fa_per_hour: float) -> dict[str, str]:
        """What a person sees of the step just done.

        Args:
            fa_per_hour: budget of the validation's miss rate.
        """
        facts = {
            "loss": f"{self.losses[-1]:.4f}, stable {self.running['loss']:.4f}",
            "scores": f"{self.running['positive_score']:.3f} of the phrase, "
            f"{self.running['negative_score']:.3f} of others",
        }
        if self.history:
            last, best = self.history[-1], self.best
            facts["validation"] = f"misses {100 * last['miss_rate']:.1f} % at {fa_per_hour:g} FA/h"
            facts["best"] = f"{100 * best['miss_rate']:.1f} %, step {best['step']}"
        return facts

    def state_dict(self) -> dict[str, Any]:
        """All of it, as tensors, numbers and strings."""
        return {
            "history": json.dumps(self.history),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "running": self.running,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What another one had written down."""
        self.history = json.loads(state["history"])
        self.losses = state["losses"].tolist()
        self.running = dict(state["running"])


def stable_losses(losses: Sequence[float]) -> list[float]:
    """The running average after each of some losses."""
    return list(accumulate(losses, _smooth))


def _smooth(old: float, new: float) -> float:
    return _SMOOTHING * old + (1 - _SMOOTHING) * new
