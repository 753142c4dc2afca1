"""``python -m steps gate M.onnx``: a gate for a detector of which there is nothing but the exported file."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from models.detector import Detector
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.scorer import LocalScorer
from steps.card import first_card, git_commit
from steps.commands.options import add_workspace
from steps.distill import train_gate
from steps.export import check_parity
from steps.gate import measure_gate
from steps.heard import Heard, hear_material
from steps.material import find_material
from steps.onnx_files import export_detector, write_card
from steps.progress import Progress
from steps.provenance import describe_training
from steps.report_card import format_gate
from steps.settings import Settings, load_settings
from steps.stage import STAGES
from steps.store import RowReader
from steps.teacher import exported_logits, load_teacher

__all__ = ["add_arguments", "run"]

_NEEDED = ("synthesize", "corpus", "augment", "features")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Distil a gate, a tiny model that wakes a detector, from the detector's file alone. The detector hears the\n"
        "windows of a workspace of the same phrase, whose section distill says how the gate is trained; the gate's\n"
        "threshold is set to pass 99.5 % of what the detector accepts. The pipeline does this for its own detector.\n"
        "The workspace needs the stages up to features, and no training: dvc repro features"
    )
    parser.epilog = "example:\n  nanowakeword gate alexa.onnx --workspace workspaces/alexa"
    parser.add_argument("model", metavar="M.onnx", type=Path, help="the detector, exported")
    add_workspace(parser)
    parser.add_argument(
        "-o", "--output", metavar="ONNX", type=Path,
        help="file to write (default: M_lite.onnx beside M.onnx, where a cascade looks for it)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Distil, export, set the threshold, measure, and tell.

    Raises:
        ConfigError: a stage has not run, or the detector is none, or of another phrase.
        ModelError: the detector's file cannot be used.
    """
    root: Path = options.workspace
    settings = load_settings(root / "params.yaml")
    teacher = load_teacher(options.model, phrase=settings.wakeword.phrase)
    output = options.output or teacher.path.with_name(f"{teacher.path.stem}_lite.onnx")
    folders = {stage: root / STAGES[stage].out for stage in _NEEDED}
    if missing := [stage for stage, folder in folders.items() if not folder.is_dir()]:
        raise ConfigError(f"not run in {root}: {', '.join(missing)}", hint="Run there: dvc repro features")
    if not output.parent.is_dir():
        raise ConfigError("--output", got=f"no folder {output.parent}", hint="Make it first")
    progress = Progress("gate")
    gate = _distil(teacher, settings, folders, kept=root / "checkpoints" / "gate", progress=progress)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        path = Path(folder) / output.name
        export_detector(gate, path, state_size=gate.state_size, opset=settings.export.opset)
        card: dict[str, Any] = {
            **first_card(gate, settings, kind="gate", model_name=output.stem),
            "phonemes": teacher.card.phonemes,
            # The rows of train.npy_sources are the heads' alone.
            "training": describe_training(clips=folders["synthesize"], corpus=folders["corpus"], features=()),
            "git_commit": git_commit(Path(__file__).parent),
        }
        write_card(path, card)
        check_parity(gate, path, seed=settings.seed, tolerance=settings.export.tolerance)
        found = _measure(teacher, Graph.load(path), settings, folders, progress=progress)
        write_card(path, {**card, "threshold": found["threshold"], "metrics": found})
        Graph.load(path)
        path.replace(output)
    print(f"{output}\n\n{format_gate(found)}", end="")


def _distil(
    teacher: Graph, settings: Settings, folders: dict[str, Path], *, kept: Path, progress: Progress
) -> Detector:
    """The gate, its silence settled. What the teacher said is kept, for other gates and for a run that goes on."""
    windows, store = folders["augment"] / "windows.zarr" / "train", folders["features"] / "features.zarr"
    if len(RowReader(windows)["label"]) != len(RowReader(store / "train")["label"]):
        raise ConfigError("the features are of other windows", hint="Run: dvc repro features")
    logits = exported_logits(teacher.path, windows, folder=kept, workers=settings.features.workers, progress=progress)
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        gate, _ = train_gate(
            settings,
            store=store,
            teacher=logits,
            weights=Path(folder) / "weights",
            checkpoints=Path(folder) / "checkpoints",
            progress=progress,
        )
    gate.settle_silence()
    return gate


def _measure(
    teacher: Graph, gate: Graph, settings: Settings, folders: dict[str, Path], *, progress: Progress
) -> dict[str, Any]:
    def hear(split: Literal["calibration", "test"]) -> tuple[Heard, Heard]:
        material = find_material(
            split, phrase=settings.wakeword.phrase, clips=folders["synthesize"], corpus=folders["corpus"]
        )
        mine, its = (
            hear_material(
                graph,
                material,
                settings.evaluate,
                seed=settings.seed,
                like=teacher,
                progress=_report(progress, f"{split}, {graph.card.name}"),
            )
            for graph in (teacher, gate)
        )
        return mine, its

    return measure_gate(
        hear("calibration"),
        hear("test"),
        threshold=teacher.card.threshold,
        context_hops=LocalScorer([teacher]).context_hops,
        tail_s=settings.evaluate.tail_s,
    )


def _report(progress: Progress, where: str) -> Callable[[str, int, int], None]:
    return lambda what, done, total: progress.update(done, total, unit="recordings", note=f"{where}: {what}")
