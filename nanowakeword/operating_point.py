"""Where a model fires: at a threshold, or within a budget of false accepts that its card knows a threshold for."""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError
from nanowakeword.postfilter import check_threshold

__all__ = ["parse_budget", "resolve_threshold"]

_HOURS_IN: Final = {"": 1.0, "h": 1.0, "hour": 1.0, "d": 24.0, "day": 24.0}
_BUDGET: Final = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(?:/\s*(h|hour|d|day))?\s*", re.ASCII | re.IGNORECASE)


def parse_budget(budget: str | float) -> float:
    """False accepts per hour that a user is ready to live with.

    Args:
        budget: a number, per hour, or text: ``"0.5"``, ``"0.5/h"``, ``"1 / hour"``, ``"12/day"``.

    Raises:
        ConfigError: it is none of these, or not above 0.
    """
    per_hour = math.nan
    if isinstance(budget, str):
        if match := _BUDGET.fullmatch(budget):
            per_hour = float(match[1]) / _HOURS_IN[(match[2] or "").lower()]
    elif isinstance(budget, int | float | np.number) and not isinstance(budget, bool):
        per_hour = float(budget)
    if not 0.0 < per_hour < math.inf:
        shown = repr(budget)
        raise ConfigError(
            "bad budget of false accepts",
            got=shown if len(shown) <= 60 else shown[:57] + "...",
            expected='a number above 0 per hour or per day, such as 0.5, "0.5/h" or "12/day"',
        )
    return per_hour


def resolve_threshold(card: ModelCard, *, threshold: float | None = None, budget: str | float | None = None) -> float:
    """Score at or above which a model fires.

    Args:
        card: the model's.
        threshold: the score itself.
        budget: false accepts per hour to stay within, as `parse_budget` reads them.

    Returns:
        The threshold given; or the measured threshold of the card's largest budget that is not above the one given; or,
        with neither, the card's own.

    Raises:
        ConfigError: both are given, one makes no sense, or the card has no threshold for the budget.
    """
    if threshold is not None and budget is not None:
        raise ConfigError(
            "both a threshold and a budget are given",
            got=f"threshold {threshold!r}, budget {budget!r}",
            expected="one of them, or neither",
        )
    if threshold is not None:
        return check_threshold(threshold)
    return card.threshold if budget is None else card.threshold_for(parse_budget(budget))
