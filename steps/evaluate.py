"""Measure the exported files by streaming audio through the runtime that users deploy.

Thresholds are chosen on the calibration split and measured on the test split; the two share no voice, speaker or
recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nanowakeword.card import BudgetThreshold
from nanowakeword.evaluation.babble import Babble
from nanowakeword.evaluation.experiment import build_report, score_negatives, score_positives
from nanowakeword.evaluation.report import Report
from nanowakeword.evaluation.scoring import Scores, clip_peaks
from nanowakeword.evaluation.table import format_report
from nanowakeword.graph import Graph
from steps.confusables import find_confusables, measure_confusables, measure_keywords
from steps.material import Material, find_material
from steps.plots import plot_confusables, plot_det
from steps.report_card import format_confusables
from steps.settings import Evaluate
from steps.stage import Context

__all__ = ["run"]

# The gate may lose this share of what the verifier accepts.
_GATE_PASSES: Final = 0.995


@dataclass(frozen=True, kw_only=True)
class _Streamed:
    """Scores of one model on one split."""

    clips: dict[str, Scores]
    negatives: Scores

    def peaks(self, *, tail_s: float) -> npt.NDArray[np.float64]:
        """Highest score of each clip, all conditions one after the other."""
        return np.concatenate([clip_peaks(scores, tail_s=tail_s) for scores in self.clips.values()]).astype(np.float64)


def run(context: Context) -> None:
    """Evaluate detector and gate.

    Writes ``metrics.json``, ``report.txt``, ``det.png`` and ``confusables.png``.
    """
    settings = context.settings.evaluate
    name = context.settings.wakeword.file_name
    folder = context.input("export")
    verifier, gate = Graph.load(folder / f"{name}.onnx"), Graph.load(folder / f"{name}_lite.onnx")
    scored: dict[str, tuple[_Streamed, _Streamed]] = {}
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
            _stream(verifier, material, settings, seed=context.settings.seed, progress=progress),
            _stream(gate, material, settings, seed=context.settings.seed, progress=progress),
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
        "gate": _measure_gate(scored, threshold=default, settings=settings),
        "confusables": confusables,
    }
    (context.out / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n", "utf-8")
    text = f"{measured_on.statement}\n\n{format_report(test)}\n{format_confusables(confusables)}"
    (context.out / "report.txt").write_text(text, encoding="utf-8")
    plot_det(test, context.out / "det.png")
    plot_confusables(confusables, context.out / "confusables.png", phrase=test.phrase)


def _stream(
    graph: Graph, material: Material, settings: Evaluate, *, seed: int, progress: Callable[[str, int, int], None]
) -> _Streamed:
    babble = Babble(material.talkers, snr_db=settings.babble_snr_db, seed=seed)
    clips = {
        name: score_positives(
            graph, material.positives, tail_s=settings.tail_s, seed=seed, babble=mixer, progress=progress
        )
        for name, mixer in {"clean": None, babble.name: babble}.items()
    }
    return _Streamed(clips=clips, negatives=score_negatives(graph, material.negatives, seed=seed, progress=progress))


def _report(graph: Graph, streamed: _Streamed, settings: Evaluate, *, thresholds: dict[str, float]) -> Report:
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
    context: Context, verifier: Graph, streamed: _Streamed, material: Material, *, threshold: float
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


def _measure_gate(
    scored: dict[str, tuple[_Streamed, _Streamed]], *, threshold: float, settings: Evaluate
) -> dict[str, Any]:
    """Set the gate's threshold on calibration, so that it passes what the verifier accepts; measure it on test."""
    verifier, gate = scored["calibration"]
    accepted = verifier.peaks(tail_s=settings.tail_s) >= threshold
    peaks = gate.peaks(tail_s=settings.tail_s)
    candidates = np.sort(peaks[accepted] if accepted.any() else peaks)
    gate_threshold = max(float(candidates[int(len(candidates) * (1 - _GATE_PASSES))]), 1e-4)
    verifier, gate = scored["test"]
    accepted = verifier.peaks(tail_s=settings.tail_s) >= threshold
    passed = gate.peaks(tail_s=settings.tail_s) >= gate_threshold
    hops = np.concatenate([stream.scores for stream in gate.negatives.streams])
    return {
        "threshold": gate_threshold,
        "verifier_threshold": threshold,
        "accepted_clips": int(accepted.sum()),
        "passed_of_accepted": round(float(passed[accepted].mean()), 4) if accepted.any() else None,
        "open_share_of_negatives": round(float((hops >= gate_threshold).mean()), 5),
        "hours": round(gate.negatives.hours, 3),
    }


def _progress(context: Context, split: str) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        context.progress.update(done, total, unit="recordings", note=f"{split}: {what}")

    return report
