"""Write what was found into the models, and put everything a user takes away into one folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from nanowakeword.graph import Graph
from steps.card import git_commit
from steps.derived import DERIVING, read_derived
from steps.journal import add_entry
from steps.onnx_files import read_card, write_card
from steps.provenance import describe_training
from steps.report_card import format_report_card
from steps.stage import STAGES, Context

__all__ = ["run"]

# Sections of a report that are long: they stay in metrics.json, beside the models.
_LONG: Final = ("curve", "hard_clips", "hard_negatives", "left_out")


def run(context: Context) -> None:
    """Publish.

    Writes the models with their final cards, ``report.md``, ``metrics.json``, two pictures, where real recordings were
    trained on ``attribution.md``, and appends the run to ``journal.jsonl`` and ``journal.md`` in the workspace.
    """
    name = context.settings.wakeword.file_name
    export, evaluate = context.input("export"), context.input("evaluate")
    metrics = json.loads((evaluate / "metrics.json").read_text("utf-8"))
    phrases = json.loads((context.input("phrases") / "phrases.json").read_text("utf-8"))
    training = describe_training(
        clips=context.input("synthesize"),
        corpus=context.input("corpus"),
        features=context.settings.train.npy_sources,
    )
    # Of stages that the inputs were made from: these cannot be newer than they are.
    automatic = read_derived(*(context.root / STAGES[stage].out for stage in DERIVING))
    budget = context.settings.publish.budget_fa_per_hour
    default = next(item["threshold"] for item in metrics["thresholds"] if item["fa_per_hour"] == budget)
    final = {
        "phonemes": phrases["phonemes"],
        "training": {**training, "automatic": automatic},
        "git_commit": git_commit(Path(__file__).parent),
    }
    measured = {
        "threshold": default,
        "thresholds": metrics["thresholds"],
        "metrics": {
            "statement": metrics["statement"],
            "positives": metrics["positives"],
            "negatives": metrics["negatives"],
            **{split: _short(metrics[split]) for split in ("test", "calibration")},
        },
    }
    cards = {
        f"{name}.onnx": measured,
        f"{name}_head.onnx": measured,
        f"{name}_lite.onnx": {"threshold": metrics["gate"]["threshold"], "metrics": metrics["gate"]},
    }
    if "int8" in metrics:
        cards[metrics["int8"]["model"]] = _int8_card(metrics, measured["metrics"])
    for file, found in cards.items():
        shutil.copyfile(export / file, context.out / file)
        write_card(context.out / file, {**read_card(context.out / file), **final, **found})
    for file in cards.keys() - {f"{name}_head.onnx"}:
        Graph.load(context.out / file)
    shutil.copyfile(export / f"{name}.pt", context.out / f"{name}.pt")
    for file in ("metrics.json", "det.png", "confusables.png"):
        shutil.copyfile(evaluate / file, context.out / file)
    if training["sources"]:
        shutil.copyfile(context.input("corpus") / "attribution.md", context.out / "attribution.md")
    card = read_card(context.out / f"{name}.onnx")
    # As users get them: the final cards add some KiB to what the stage evaluate heard.
    sizes = {file: round((context.out / file).stat().st_size / 1024) for file in cards}
    report = format_report_card(card, metrics, model=f"{name}.onnx", kibibytes=sizes)
    (context.out / "report.md").write_text(report, encoding="utf-8")
    add_entry(context.root, context.settings, metrics, git_commit=card["git_commit"])


def _int8_card(metrics: dict[str, Any], measured: Any) -> dict[str, Any]:
    """Thresholds and figures of the model with weights in 8 bits, and the misses of the one in float32 beside them."""
    int8 = metrics["int8"]
    chosen = next(item for item in int8["thresholds"] if item["fa_per_hour"] == int8["budget_fa_per_hour"])
    splits = {split: _short(int8[split]) for split in ("test", "calibration")}
    float32 = {point["name"]: point["misses"] for point in metrics["test"]["points"]}
    return {
        "threshold": chosen["threshold"],
        "thresholds": int8["thresholds"],
        "metrics": {**measured, **splits, "missed_with_float32": float32},
    }


def _short(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in _LONG}
