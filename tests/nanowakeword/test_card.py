from __future__ import annotations

import json
from typing import Any

import pytest

from nanowakeword.card import ModelCard
from nanowakeword.errors import ConfigError, ModelError
from tests.tiny_model import tiny_card


def read(**changes: Any) -> ModelCard:
    return ModelCard.from_json(json.dumps(tiny_card(**changes)), source="m.onnx")


def test_all_fields_are_read_and_unknown_ones_kept() -> None:
    card = read(new_key={"a": 1})
    assert (card.phrase, card.name, card.kind, card.language, card.phonemes) == (
        "beep",
        "beep",
        "detector",
        "en-us",
        "bip",
    )
    assert (card.state_size, card.hop_samples, card.receptive_field_samples) == (3, 1280, 5120)
    assert card.threshold == 0.75
    assert card.content["new_key"] == {"a": 1}


def test_only_the_required_keys_are_required() -> None:
    required = ("schema_version", "phrase", "name", "kind", "hop_samples", "state_size", "threshold")
    card = ModelCard.from_json(json.dumps({key: tiny_card()[key] for key in required}), source="m.onnx")
    assert card.thresholds == ()
    assert card.receptive_field_samples is None
    for key in required:
        with pytest.raises(ModelError, match=f"m.onnx lacks '{key}'"):
            read(**{key: None})


def test_thresholds_are_sorted_and_chosen_within_the_budget() -> None:
    card = read()
    assert [row.fa_per_hour for row in card.thresholds] == [0.5, 2.0]
    assert card.threshold_for(0.5) == 0.75
    assert card.threshold_for(1.9) == 0.75
    assert card.threshold_for(3.0) == 0.5
    with pytest.raises(ConfigError, match=r"no threshold for 0.1 .* 0.5, 2"):
        card.threshold_for(0.1)
    with pytest.raises(ConfigError, match="no threshold"):
        read(thresholds=[]).threshold_for(1.0)


def test_whole_numbers_are_taken_for_floats() -> None:
    assert read(threshold=1).threshold == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "newer.*pip install -U"),
        ({"schema_version": "1"}, "schema_version; got '1'"),
        ({"hop_samples": 160}, "hop_samples; got 160; expected 1280"),
        ({"sample_rate_hz": 8000}, "sample_rate_hz; got 8000; expected 16000"),
        ({"state_size": -1}, "state_size"),
        ({"state_size": True}, "state_size; got True"),
        ({"state_size": 3.0}, "state_size"),
        ({"phrase": 7}, "phrase; got 7; expected text"),
        ({"threshold": 0}, "threshold; got 0.0; expected above 0"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold; got nan"),
        ({"thresholds": 3}, "thresholds; got 3; expected a list"),
        ({"thresholds": [3]}, r"thresholds\[0\]; got 3; expected an object"),
        ({"thresholds": [{"fa_per_hour": 1}]}, "lacks 'threshold'"),
        ({"thresholds": [{"fa_per_hour": 1, "threshold": 7}]}, r"thresholds\[0\]\.threshold; got 7"),
        ({"receptive_field_samples": "all"}, "receptive_field_samples"),
        ({"phrase": ["x" * 500]}, r"\.\.\.; expected text"),
    ],
)
def test_wrong_values_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(**changes)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"card"', "[" * 100_000, "\x00"])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"the model card in m\.onnx is damaged"):
        ModelCard.from_json(text, source="m.onnx")
