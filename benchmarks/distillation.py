"""Student against teacher: what a gate misses by itself, what it passes, how often it wakes the teacher, what it costs.

    python -m benchmarks.distillation M.onnx WORKSPACE                            # its gate, M_lite.onnx beside it
    python -m benchmarks.distillation M.onnx WORKSPACE --students A.onnx B.onnx   # other gates
    python -m benchmarks.distillation M.onnx WORKSPACE --split calibration        # to choose between them

WORKSPACE is a folder with artifacts/corpus and artifacts/synthesize. All thresholds are set on the calibration part, as
the stage evaluate sets them; figures are of the test part, or of the calibration part itself with --split calibration.
Missed: at the threshold for the budget of false accepts, as a detector by itself. Passed: of what the teacher accepts,
behind the gate. Open: share of hops that reach the gate's threshold. Runs: hops that the teacher runs for each that is
heard, holding and catching up included. Cost: of both in a cascade; all models are timed in turn in one run, on one
thread. In brackets: exact limits, confidence 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.program import run
from benchmarks.standby import time_in_turn
from nanowakeword.evaluation.experiment import build_report
from nanowakeword.graph import Graph
from nanowakeword.scorer import LocalScorer, Trigger
from nanowakeword.standby import GateTrigger
from steps.closure import CHECKOUT
from steps.gate import measure_gate
from steps.heard import Heard, hear_material
from steps.material import MeasuredSplit, find_material
from steps.settings import Evaluate, load_settings

SPLITS: tuple[MeasuredSplit, ...] = ("calibration", "test")


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description="Student against teacher.")
    parser.add_argument("model", type=Path, help="the teacher")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--students", nargs="+", type=Path, help="default: M_lite.onnx beside M.onnx")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--budget", type=float, default=0.5, help="false accepts per hour (0.5)")
    options = parser.parse_args()
    settings = load_settings(CHECKOUT / "params.yaml").evaluate
    teacher = Graph.load(options.model)
    beside = options.model.with_name(f"{options.model.stem}_lite.onnx")
    students = [Graph.load(path) for path in options.students or [beside]]
    milliseconds = time_models(teacher, students)
    splits = SPLITS if options.split == "test" else SPLITS[:1]
    heard = [hear(graph, splits, options.workspace, settings, like=teacher) for graph in (teacher, *students)]
    print(f"{teacher.card.name}, {options.split} part, threshold set for {options.budget:g} false accepts per hour\n")
    print("| model | KiB | ms per 80 ms | false accepts per hour | missed, clean | missed, babble |")
    print("|---|---|---|---|---|---|")
    for graph, of, ms in zip((teacher, *students), heard, milliseconds, strict=True):
        print(alone(graph, of, settings, ms=ms, budget=options.budget), flush=True)
    print(f"\nAs gates, {teacher.card.name} at its threshold {teacher.card.threshold:g}:\n")
    print(
        "| gate | threshold | set on | passed, clean | passed, babble | kind: open, runs, ms per 80 ms in a cascade |"
    )
    print("|---|---|---|---|---|---|")
    for graph, of, ms in zip(students, heard[1:], milliseconds[1:], strict=True):
        found = measure_gate(
            (heard[0][0], of[0]),
            (heard[0][-1], of[-1]),
            threshold=teacher.card.threshold,
            context_hops=LocalScorer([teacher]).context_hops,
            tail_s=settings.tail_s,
        )
        print(as_gate(graph, found, ms=ms, teacher_ms=milliseconds[0]), flush=True)


def time_models(teacher: Graph, students: Sequence[Graph]) -> list[float]:
    """Median milliseconds per hop, the teacher's first."""

    def maker(graph: Graph) -> Trigger:
        return GateTrigger(graph)

    taken, teacher_ms = time_in_turn(
        teacher,
        {str(graph.path): lambda graph=graph: maker(graph) for graph in students},  # type: ignore[misc]
    )
    return [teacher_ms, *(taken[str(graph.path)] for graph in students)]


def hear(
    graph: Graph, splits: Sequence[MeasuredSplit], workspace: Path, settings: Evaluate, *, like: Graph
) -> list[Heard]:
    """Scores of each split."""
    artifacts = workspace / "artifacts"
    materials = [
        find_material(split, phrase=like.card.phrase, clips=artifacts / "synthesize", corpus=artifacts / "corpus")
        for split in splits
    ]
    return [hear_material(graph, material, settings, seed=0, like=like) for material in materials]


def alone(graph: Graph, heard: Sequence[Heard], settings: Evaluate, *, ms: float, budget: float) -> str:
    """A row: a model as a detector."""

    def report(of: Heard, thresholds: dict[str, float]) -> Any:
        return build_report(
            graph,
            clips=of.clips,
            negatives=of.negatives,
            budgets_fa_per_hour=[budget],
            thresholds=thresholds,
            refractory_s=settings.refractory_s,
            tail_s=settings.tail_s,
        )

    chosen = report(heard[0], {}).points[0].threshold
    point = report(heard[-1], {"chosen": 1.0 if chosen is None else chosen}).points[-1]
    accepts = point.false_accepts
    missed = " | ".join(in_percent(rate) for rate in point.misses.values())
    hourly = f"{accepts.rate:.2f} ({accepts.low:.2f}-{accepts.high:.2f})"
    return f"| {graph.path.stem} | {graph.n_bytes / 1024:.0f} | {ms:.3f} | {hourly} | {missed} |"


def as_gate(graph: Graph, found: dict[str, Any], *, ms: float, teacher_ms: float) -> str:
    """A row: a model as a gate."""
    chosen, test = found["calibration"]["passed"]["all"], found["test"]
    basis = "nothing accepted" if chosen is None else f"{chosen['count']} of {chosen['total']}"
    passed = " | ".join(
        "none accepted"
        if rate is None
        else f"{rate['count']} of {rate['total']}, {100 * rate['low']:.1f}-{100 * rate['high']:.1f} %"
        for name, rate in test["passed"].items()
        if name != "all"
    )
    duty = "; ".join(
        f"{kind}: {100 * of['open']:.2f} %, {100 * of['runs']:.2f} %, {ms + of['runs'] * teacher_ms:.3f}"
        for kind, of in test["duty"].items()
    )
    return f"| {graph.path.stem} | {found['threshold']:.4f} | {basis} | {passed} | {duty} |"


def in_percent(rate: Any) -> str:
    """A share with its limits."""
    return f"{100 * rate.rate:.1f} % ({100 * rate.low:.1f}-{100 * rate.high:.1f})"


if __name__ == "__main__":
    run(main)
