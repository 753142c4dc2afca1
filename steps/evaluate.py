"""Measure the exported files by streaming audio through the runtime that users deploy.

Thresholds are chosen on the calibration split and measured on the test split; the two share no voice, speaker or
recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from nanowakeword.card import BudgetThreshold
from nanowakeword.evaluation.experiment import build_report
from nanowakeword.evaluation.report import Report
from nanowakeword.evaluation.table import format_report
from nanowakeword.graph import Graph
from nanowakeword.scorer import LocalScorer
from steps.confusables import find_confusables, measure_confusables, measure_keywords
from steps.gate import measure_gate
from steps.heard import Heard, hear_material
from steps.material import Material, find_material
from steps.plots import plot_confusables, plot_det
from steps.report_card import format_confusables
from steps.settings import Evaluate
from steps.stage import Context

__all__ = ["run"]


def run(context: Context) -> None:
    """Evaluate detector and gate.

    Writes ``metrics.json``, ``report.txt``, ``det.png`` and ``confusables.png``.
    """
    settings = context.settings.evaluate
    name = context.settings.wakeword.file_name
    folder = context.input("export")
    verifier, gate = Graph.load(folder / f"{name}.onnx"), Graph.load(folder / f"{name}_lite.onnx")
    seed = context.settings.seed
    scored: dict[str, tuple[Heard, Heard]] = {}
    materials: dict[str, Material] = {}
    for split in ("calibration", "test"):
        material = find_material(
            split,
            phrase=context.settings.wakeword.phrase,
            clips=context.input("synthesize"),
            corpus=context.input("corpus"),
        )
        materials[split] = material
        progress = _progress(context, split)
        scored[split] = (
            hear_material(verifier, material, settings, seed=seed, progress=progress),
            hear_material(gate, material, settings, seed=seed, like=verifier, progress=progress),
        )

    calibration = _report(verifier, scored["calibration"][0], settings, thresholds={})
    thresholds = [
        BudgetThreshold(
            fa_per_hour=budget,
            threshold=1.0 if point.threshold is None else point.threshold,
            hours=round(calibration.hours, 3),
            basis=materials["calibration"].negatives_basis,
        )
        for budget, point in zip(settings.budgets_fa_per_hour, calibration.points, strict=True)
    ]
    chosen = {f"set for {item.fa_per_hour:g} per hour": item.threshold for item in thresholds}
    test = _report(verifier, scored["test"][0], settings, thresholds=chosen)
    budget = context.settings.publish.budget_fa_per_hour
    default = next(item.threshold for item in thresholds if item.fa_per_hour == budget)
    measured_on = materials["test"]
    confusables = _measure_confusables(context, verifier, scored["test"][0], measured_on, threshold=default)
    metrics = {
        "statement": measured_on.statement,
        "positives": measured_on.positives_basis,
        "negatives": measured_on.negatives_basis,
        "thresholds": [asdict(item) for item in thresholds],
        "test": test.to_dict(),
        "calibration": calibration.to_dict(),
        "gate": measure_gate(
            scored["calibration"],
            scored["test"],
            threshold=default,
            context_hops=LocalScorer([verifier]).context_hops,
            tail_s=settings.tail_s,
        ),
        "confusables": confusables,
    }
    (context.out / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n", "utf-8")
    text = f"{measured_on.statement}\n\n{format_report(test)}\n{format_confusables(confusables)}"
    (context.out / "report.txt").write_text(text, encoding="utf-8")
    plot_det(test, context.out / "det.png")
    plot_confusables(confusables, context.out / "confusables.png", phrase=test.phrase)


def _report(graph: Graph, streamed: Heard, settings: Evaluate, *, thresholds: dict[str, float]) -> Report:
    return build_report(
        graph,
        clips=streamed.clips,
        negatives=streamed.negatives,
        budgets_fa_per_hour=settings.budgets_fa_per_hour,
        thresholds=thresholds,
        refractory_s=settings.refractory_s,
        tail_s=settings.tail_s,
    )


def _measure_confusables(
    context: Context, verifier: Graph, streamed: Heard, material: Material, *, threshold: float
) -> dict[str, Any]:
    """What else of the test split is taken for the phrase, at the threshold that users get."""
    wakeword, tail_s = context.settings.wakeword, context.settings.evaluate.tail_s
    confusables = find_confusables("test", wakeword=wakeword, clips=context.input("synthesize"))
    seed, progress = context.settings.seed, _progress(context, "test")
    return {
        "threshold": threshold,
        "groups": measure_confusables(
            verifier, confusables, threshold=threshold, tail_s=tail_s, seed=seed, progress=progress
        ),
        "keywords": measure_keywords(
            streamed.negatives, material.keywords, wakeword=wakeword, threshold=threshold, tail_s=tail_s
        ),
    }


def _progress(context: Context, split: str) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        context.progress.update(done, total, unit="recordings", note=f"{split}: {what}")

    return report
