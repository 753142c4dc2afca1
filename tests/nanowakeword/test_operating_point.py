from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError
from nanowakeword.operating_point import parse_budget, resolve_threshold
from tests.tiny_model import tiny_card

CARD = ModelCard.from_json(json.dumps(tiny_card(threshold=0.9)), source="beep.onnx")
EXAMPLES = r'bad budget of false accepts; got .{1,60}; expected .* "0.5/h" or "12/day"$'


@pytest.mark.parametrize(
    ("budget", "per_hour"),
    [
        ("0.5/h", 0.5),
        ("0.5", 0.5),
        ("1 / h", 1.0),
        ("  2/hour ", 2.0),
        ("12/day", 0.5),
        ("12 / d", 0.5),
        (".5/H", 0.5),
        ("1.", 1.0),
        (0.1, 0.1),
        (2, 2.0),
        (np.float32(0.5), 0.5),
    ],
)
def test_budgets_are_per_hour_unless_they_say_otherwise(budget: Any, per_hour: float) -> None:
    assert parse_budget(budget) == per_hour


@pytest.mark.parametrize(
    "budget",
    ["", "h", "/h", "0", "0/h", "-1", "-1/h", "1/", "1/min", "1/h/h", "1 per hour", "1,5/h", "1e3", "nan", "inf", "½"],
)
def test_other_text_is_an_error_with_examples(budget: str) -> None:
    with pytest.raises(ConfigError, match=EXAMPLES):
        parse_budget(budget)


@pytest.mark.parametrize(
    "budget", ["٣", "9" * 400, 0, 0.0, -0.5, float("nan"), float("inf"), True, None, [1.0]], ids=lambda v: repr(v)[:9]
)
def test_anything_else_is_an_error_with_examples(budget: Any) -> None:
    with pytest.raises(ConfigError, match=EXAMPLES):
        parse_budget(budget)


@given(st.text() | st.from_regex(r"[0-9./hd ]{0,9}"))
def test_no_text_gives_anything_but_a_number_or_that_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert 0.0 < parse_budget(text) < float("inf")


def test_a_model_fires_at_its_own_threshold_or_the_one_given_or_that_of_a_budget() -> None:
    assert resolve_threshold(CARD) == 0.9
    assert resolve_threshold(CARD, threshold=0.3) == 0.3
    assert resolve_threshold(CARD, budget="0.5/h") == 0.75
    assert resolve_threshold(CARD, budget="48/day") == 0.5
    assert resolve_threshold(CARD, budget=1.9) == 0.75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.5, "budget": 0.5}, "both a threshold and a budget are given; got threshold 0.5, budget 0.5"),
        ({"threshold": 0.0}, "bad threshold; got 0.0"),
        ({"budget": "often"}, "bad budget of false accepts; got 'often'"),
        ({"budget": "1/day"}, "'beep' has no threshold for 0.0416667 false accepts per hour"),
    ],
)
def test_what_cannot_be_resolved(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_threshold(CARD, **options)
