"""Every architecture on every front end: size, cost, speed of training, and misses on real recordings.

    python -m benchmarks.architectures WORKSPACE OUT --jobs 2                   # all of them, size small, one member
    python -m benchmarks.architectures WORKSPACE OUT --only gru tcn --frontends logmel --steps 1200
    python -m benchmarks.architectures WORKSPACE OUT --show                     # what is done, as Markdown
    python -m benchmarks.architectures WORKSPACE OUT --show --plot architectures.png

WORKSPACE has the stages up to features done, with real recordings; its features are used as they are. OUT keeps what
was found, each row as soon as it is done: a run that was stopped goes on. All networks train on the same windows, with
one budget (steps of 192 windows, one learning rate) and else the workspace's settings; only the architecture differs,
none is tuned. Each is exported and proven equal to its network, whole and streamed. ``--jobs`` rows at a time, each on
one thread; then, one after the other and with nothing beside it, each is timed: median of the whole graph and of its
head alone on one hop, on one thread.

Misses are those at the threshold that the budget asks for on the same split's recordings without the phrase, in
brackets exact limits, confidence 95 %. Steps a second are those of forward, backward and optimiser on one batch, on one
thread and on two.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch

from benchmarks.architecture_costs import measure_costs
from benchmarks.architecture_table import format_table, plot_table
from benchmarks.heard import hear
from benchmarks.misses import measure
from benchmarks.program import run
from benchmarks.variants import prepare_variant, save_result, train_heads
from models.catalogue import count_parameters, macs_per_second
from models.detector import Detector
from models.frontends.table import FRONT_ENDS
from models.heads_only import HeadsOnly
from models.streaming import Head
from models.table import ARCHITECTURES
from nanowakeword.errors import ConfigError
from steps.card import first_card
from steps.export import check_parity
from steps.onnx_files import export_detector, export_heads, write_card
from steps.settings import Settings

BATCH: Final = {"positive": 68, "partial": 20, "speech": 88, "noise": 16, "neighbour": 0}
LEARNING_RATE_MAX: Final = 0.002
MODEL: Final = "model.onnx"
HEAD: Final = "head.onnx"
_VALIDATIONS: Final = 3  # as many checkpoints are averaged


def main() -> None:
    """Make what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", metavar="ARCHITECTURE", choices=list(ARCHITECTURES))
    parser.add_argument("--frontends", nargs="+", metavar="NAME", choices=list(FRONT_ENDS))
    parser.add_argument("--size", choices=("tiny", "small", "medium"), default="small")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--steps", type=int, default=600, help="of training, 192 windows each (600)")
    parser.add_argument("--jobs", type=int, default=1, help="networks trained at a time, each on one thread (1)")
    parser.add_argument("--seconds", type=float, default=1.0, help="to time each figure for (1)")
    parser.add_argument("--show", action="store_true", help="only print the table")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw misses over cost")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    experiment = Experiment(
        workspace=options.workspace,
        out=options.out,
        size=options.size,
        members=options.members,
        steps=options.steps,
    )
    frontends = options.frontends or list(FRONT_ENDS)
    rows = [(frontend, name) for frontend in frontends for name in options.only or ARCHITECTURES]
    if not options.show:
        make_rows(experiment, rows, jobs=options.jobs)
        for frontend, name in rows:
            experiment.time(frontend, name, seconds=options.seconds)
    found = {row: experiment.folder(*row) for row in rows}
    title = f"size {options.size}, {options.members} a head, {experiment.steps} steps"
    print(format_table(found, title=title))
    if options.plot is not None:
        plot_table(found, options.plot)


def make_rows(experiment: Experiment, rows: Sequence[tuple[str, str]], *, jobs: int) -> None:
    """Train and measure what is missing, some at a time; one that fails is named, and the others go on."""
    missing = [row for row in rows if not (experiment.folder(*row) / "result.json").is_file()]
    for frontend in dict.fromkeys(frontend for frontend, _ in missing):
        experiment.hear(frontend)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = {pool.submit(experiment.make, frontend, name): f"{name} on {frontend}" for frontend, name in missing}
        for number, done in enumerate(as_completed(running), start=1):
            error = done.exception()
            print(f"{number} of {len(missing)}: {running[done]}{f' failed: {error}' if error else ''}", flush=True)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One budget for all.

    Attributes:
        workspace: whose features and recordings are used.
        out: folder of all results.
        size: of the networks.
        members: of each head.
        steps: of training.
    """

    workspace: Path
    out: Path
    size: str
    members: int
    steps: int

    def folder(self, frontend: str, architecture: str) -> Path:
        """Of one network; other budgets lie beside."""
        return self.out / f"{self.size}-{self.members}-{self.steps}" / frontend / architecture

    def hear(self, frontend: str) -> None:
        """Compute what a front end makes of the recordings, unless it is there."""
        root, stages = self.out / "heard", self.workspace / "artifacts"
        settings = prepare_variant(root / f".{frontend}", workspace=self.workspace, over=_features(frontend))
        hear(root / frontend, settings=settings, clips=stages / "synthesize", corpus=stages / "corpus")

    def make(self, frontend: str, architecture: str) -> None:
        """Train, measure and export one."""
        root = self.folder(frontend, architecture)
        settings = prepare_variant(root, workspace=self.workspace, over=self._over(frontend, architecture))
        features = self.workspace / "artifacts" / "features"
        if not (features / "features.zarr" / "train" / frontend).is_dir():
            raise ConfigError(f"{features} has no features of {frontend}", hint="Choose other --frontends")
        link = root / "artifacts" / "features"
        if not link.is_symlink():
            link.symlink_to(features.resolve(), target_is_directory=True)
        detector = train_heads(root)
        difference = _export(detector, root, settings)
        head = cast(Head, detector.heads[0])
        found = {
            "parameters": count_parameters(head),
            "macs_per_s": macs_per_second(head, frontend=frontend),
            "difference": difference,
            "missed": measure(detector, self.out / "heard" / frontend, settings),
        }
        save_result(root / "result.json", found, spent=None)

    def time(self, frontend: str, architecture: str, *, seconds: float) -> None:
        """Time one that is made, unless that is done."""
        root = self.folder(frontend, architecture)
        if not (root / "result.json").is_file() or (root / "costs.json").is_file():
            return
        print(f"timing {architecture} on {frontend}", flush=True)
        saved = torch.load(root / "artifacts" / "average" / "detector.pt", weights_only=True)
        costs = measure_costs(
            Detector.from_saved(saved),
            model=root / MODEL,
            head=root / HEAD,
            batch=sum(BATCH.values()),
            seconds=seconds,
        )
        save_result(root / "costs.json", costs, spent=None)

    def _over(self, frontend: str, architecture: str) -> dict[str, Any]:
        """Settings of a network."""
        train = {"architecture": architecture, "size": self.size, "members": self.members, "steps": self.steps}
        knobs = dict.fromkeys(("layer_size", "n_blocks", "embedding_dim", "activation_function"))
        budget = {"learning_rate_max": LEARNING_RATE_MAX, "batch_composition": BATCH}
        budget["checkpoint_every_steps"] = max(1, self.steps // _VALIDATIONS)
        return {**_features(frontend), "train": {**train, **knobs, **budget}}


def _features(frontend: str) -> dict[str, Any]:
    return {"features": {"frontends": [frontend], "gate_frontend": frontend}}


def _export(detector: Detector, root: Path, settings: Settings) -> float:
    """Write the whole graph and its head alone; the largest difference of scores between graph and network."""
    path, opset = root / MODEL, settings.export.opset
    export_detector(detector, path, state_size=detector.state_size, opset=opset)
    write_card(path, first_card(detector, settings, kind="detector", model_name=path.stem))
    heads, shape = HeadsOnly(detector), detector.feature_shape
    export_heads(heads, root / HEAD, feature_shape=shape, state_size=heads.state_size, opset=opset)
    return check_parity(detector, path, seed=settings.seed, tolerance=settings.export.tolerance)


if __name__ == "__main__":
    run(main)
