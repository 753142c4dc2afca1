"""The journal keeps every run and says what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steps.journal import add_entry
from steps.settings import load_settings

ROOT = Path(__file__).parents[2]


def metrics(missed: float) -> dict[str, Any]:
    rate = {"rate": missed, "low": 0.0, "high": 1.0, "count": 1, "total": 10}
    point = {
        "name": "set for 0.5 per hour",
        "budget_fa_per_hour": None,
        "false_accepts": {**rate, "rate": 0.25},
        "misses": {"clean": rate},
    }
    return {"positives": "real speech", "negatives": "real speech", "test": {"hours": 4.0, "points": [point]}}


def test_runs_are_added_and_their_changes_told(tmp_path: Path) -> None:
    first = load_settings(ROOT / "params.yaml")
    second = first.model_copy(update={"train": first.train.model_copy(update={"steps": 900})})
    add_entry(tmp_path, first, metrics(0.2), git_commit="abc")
    add_entry(tmp_path, second, metrics(0.1), git_commit=None)
    entries = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [entry["settings"]["train"]["steps"] for entry in entries] == [600, 900]
    page = (tmp_path / "journal.md").read_text()
    assert "## 1. hey nano" in page
    assert "Changed: `train.steps`: 600 -> 900" in page
    assert "missed clean 10.0 %" in page
    assert not list(tmp_path.glob("*.writing"))
