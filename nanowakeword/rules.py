"""What a caller asks of the filters behind each model, and what that comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError
from nanowakeword.operating_point import parse_budget, resolve_threshold
from nanowakeword.postfilter import check_patience, check_rearm, check_refractory, check_smoothing, check_threshold

__all__ = ["PerModel", "Rules", "make_rules"]

T = TypeVar("T")
PerModel: TypeAlias = T | Mapping[str, T] | None  # one value for all models, or values by model name, or nothing


class Rules(NamedTuple):
    """Arguments of `PostFilter.push` for one model."""

    threshold: float
    smoothing: int
    patience: int
    refractory_s: float
    rearm_below: float | None


def make_rules(
    cards: Mapping[str, ModelCard],
    *,
    threshold: PerModel[float] = None,
    budget: PerModel[str | float] = None,
    patience: PerModel[int] = None,
    smoothing: PerModel[int] = None,
    debounce_time: PerModel[float] = None,
    rearm_below: PerModel[float] = None,
    default_budget: PerModel[str | float] = None,
) -> dict[str, Rules]:
    """Rules of each model; what is not given comes from its card.

    Args:
        cards: of the models, by name. While a server has not told its models there are none.
        threshold: score at or above which a hop counts.
        budget: false accepts per hour to stay within, in place of a threshold.
        patience: hops in a row that must count.
        smoothing: hops in a moving average over the scores.
        debounce_time: seconds after a detection in which nothing fires.
        rearm_below: score below which it must have fallen before it fires again.
        default_budget: a budget for models for which neither threshold nor budget is given.

    Raises:
        ConfigError: a value is out of range or names a model that is not there, or both threshold and budget are given
            for a model.
    """
    for option, check in (
        (threshold, check_threshold),
        (budget, parse_budget),
        (default_budget, parse_budget),
        (patience, check_patience),
        (smoothing, check_smoothing),
        (debounce_time, check_refractory),
    ):
        _check(option, check, cards)
    _check(rearm_below, lambda value: check_rearm(value, threshold=1.0), cards)
    rules = {}
    for name, card in cards.items():
        at = _of(threshold, name)
        within = cast("str | float | None", _of(budget, name))
        if at is None and within is None:
            within = cast("str | float | None", _of(default_budget, name))
        limit = resolve_threshold(card, threshold=at, budget=within)
        rearm = _of(rearm_below, name)
        pause = _of(debounce_time, name)
        rules[name] = Rules(
            threshold=limit,
            smoothing=_of(smoothing, name) or 1,
            patience=_of(patience, name) or 1,
            refractory_s=card.refractory_s if pause is None else pause,
            rearm_below=None if rearm is None else check_rearm(rearm, threshold=limit),
        )
    return rules


def _check(option: PerModel[Any], check: Callable[[Any], object], cards: Mapping[str, ModelCard]) -> None:
    if cards and isinstance(option, Mapping) and (unknown := [name for name in option if name not in cards]):
        raise ConfigError("no such model", got=", ".join(map(repr, unknown)), expected=", ".join(cards))
    for value in _values(option):
        check(value)


def _values(option: PerModel[Any]) -> Iterator[Any]:
    if isinstance(option, Mapping):
        yield from option.values()
    elif option is not None:
        yield option


def _of(option: PerModel[T], name: str) -> T | None:
    """Value of an option for one model."""
    return option.get(name) if isinstance(option, Mapping) else option
