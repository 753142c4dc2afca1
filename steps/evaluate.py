"""Measure the exported files by streaming audio through the runtime that users deploy.

Thresholds are chosen on the calibration split and measured on the test split; the two share no voice, speaker or
recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
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

    basis = materials["calibration"].negatives_basis
    thresholds, calibration, test = _rate(
        verifier, {split: heard for split, (heard, _) in scored.items()}, settings, basis=basis
    )
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
    if (int8 := folder / f"{name}_int8.onnx").is_file():  # where export.int8 asks for it
        metrics["int8"] = _measure_int8(context, int8, materials, basis=basis)
    (context.out / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n", "utf-8")
    text = f"{measured_on.statement}\n\n{format_report(test)}\n{format_confusables(confusables)}"
    (context.out / "report.txt").write_text(text, encoding="utf-8")
    plot_det(test, context.out / "det.png")
    plot_confusables(confusables, context.out / "confusables.png", phrase=test.phrase)


def _measure_int8(context: Context, path: Path, materials: dict[str, Material], *, basis: str) -> dict[str, Any]:
    """What is measured of the detector, of the one with weights in 8 bits, with thresholds of its own."""
    settings, seed = context.settings.evaluate, context.settings.seed
    graph = Graph.load(path)
    heard = {
        split: hear_material(graph, material, settings, seed=seed, progress=_progress(context, split))
        for split, material in materials.items()
    }
    thresholds, calibration, test = _rate(graph, heard, settings, basis=basis)
    return {
        "model": path.name,
        "budget_fa_per_hour": context.settings.publish.budget_fa_per_hour,
        "thresholds": [asdict(item) for item in thresholds],
        "test": test.to_dict(),
        "calibration": calibration.to_dict(),
    }


def _rate(
    graph: Graph, heard: dict[str, Heard], settings: Evaluate, *, basis: str
) -> tuple[list[BudgetThreshold], Report, Report]:
    """Thresholds chosen on the calibration split, and what they and others give there and on the test split.

    Args:
        graph: the model.
        heard: both splits as it heard them.
        settings: of the measurement.
        basis: what the calibration's audio without the phrase is.
    """
    calibration = _report(graph, heard["calibration"], settings, thresholds={})
    thresholds = [
        BudgetThreshold(
            fa_per_hour=budget,
            threshold=1.0 if point.threshold is None else point.threshold,
            hours=round(calibration.hours, 3),
            basis=basis,
        )
        for budget, point in zip(settings.budgets_fa_per_hour, calibration.points, strict=True)
    ]
    chosen = {f"set for {item.fa_per_hour:g} per hour": item.threshold for item in thresholds}
    return thresholds, calibration, _report(graph, heard["test"], settings, thresholds=chosen)


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
