"""Do the choices of the training pay on people? Sampling by loss or uniform, and which weights are kept.

    python -m benchmarks.training_choices OUT workspaces/alexa workspaces/computer --seeds 7 8 9
    python -m benchmarks.training_choices OUT workspaces/alexa --steps 50                # a quick try
    python -m benchmarks.training_choices OUT workspaces/alexa --also train.pooling=max  # another setting beside them
    python -m benchmarks.training_choices OUT workspaces/alexa --show                    # the table of what is done
    python -m benchmarks.training_choices OUT workspaces/alexa --show --split calibration     # to choose a setting by

A workspace has its stages done up to features, with real recordings. Heads are trained by the stage train on those very
features; OUT keeps what was found, so a run that was stopped goes on. Two processes by default, one core each.

by loss      the settings of the workspace: ISBL
uniform      train.isbl.alpha=0, with which the equation gives each row of a pool the same share

and of each training four detectors: the weights that validation keeps, the average of stable checkpoints (swa), the
moving average, and the best single checkpoint. Misses and their limits are those of benchmarks/misses.py, differences
those to the first row.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch

from benchmarks.heard import SPLITS, hear_workspace
from benchmarks.misses import Missed, measure, print_misses
from benchmarks.program import run
from benchmarks.variants import make_stages, prepare_variant, save_result
from models.detector import Detector
from models.streaming import Head
from steps.automatic_training import count_rows, settle_training
from steps.candidates import Candidates, find_candidates
from steps.feature_rows import input_name
from steps.npy_sources import npy_sources
from steps.overlay import lay_over, parse_option
from steps.settings import Settings, load_settings
from steps.store import RowReader
from steps.training_rows import dataset, used_rows
from steps.verifier import verifier_config
from steps.workers import map_in_order

SAMPLING: Final = {"by loss": "", "uniform": "train.isbl.alpha=0.0"}
KINDS: Final = ("kept", "swa", "moving average", "best single")


@dataclass(frozen=True)
class Training:
    """One training of all heads, and where it lies.

    Attributes:
        workspace: whose features are trained on.
        out: folder of this workspace's trainings.
        seed: of the training.
        name: of the row.
        option: ``section.key=value``; empty for the workspace's settings.
        steps: None for the workspace's.
    """

    workspace: Path
    out: Path
    seed: int
    name: str
    option: str
    steps: int | None

    @property
    def folder(self) -> Path:
        """Of its own."""
        return self.out / f"seed-{self.seed}" / re.sub(r"[^\w.=-]+", "-", self.name)


def main() -> None:
    """Train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("workspaces", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--steps", type=int, help="of each training (default: the workspace's)")
    parser.add_argument("--also", nargs="+", default=[], metavar="KEY=VALUE", help="more rows: other settings")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[-1], help="to show (test)")
    parser.add_argument("--show", action="store_true", help="only print the table")
    options = parser.parse_args()
    rows = {**SAMPLING, **{option: option for option in options.also}}
    trainings = [
        Training(workspace, options.out / workspace.resolve().name, seed, name, option, options.steps)
        for seed in options.seeds
        for workspace in options.workspaces
        for name, option in rows.items()
    ]
    if not options.show:
        started = time.monotonic()
        for workspace in options.workspaces:
            _hear(workspace, options.out / workspace.resolve().name)
        left = [training for training in trainings if not (training.folder / "result.json").is_file()]
        with closing(map_in_order(train, left, workers=options.workers, start=_one_thread, arguments=())) as done:
            for number, _ in enumerate(done, start=1):
                print(f"{number} of {len(left)} trainings, {time.monotonic() - started:.0f} s", flush=True)
    for workspace in options.workspaces:
        print_table(workspace, [one for one in trainings if one.workspace == workspace], split=options.split)


def train(training: Training) -> None:
    """Train and measure; writes ``result.json``."""
    over: dict[str, Any] = {"seed": training.seed}
    if training.steps is not None:
        lay_over(
            over, {"train": {"steps": training.steps, "checkpoint_every_steps": -(-training.steps // 6)}}, known={}
        )
    if training.option:
        lay_over(over, parse_option(training.option), known={})
    root = training.folder
    settings = prepare_variant(root, workspace=training.workspace, over=over)
    features = root / "artifacts" / "features"
    if not features.is_symlink():
        features.symlink_to((training.workspace / "artifacts" / "features").resolve(), target_is_directory=True)
    make_stages(root, "train")
    results = {
        kind: measure(detector, training.out / "heard", settings) for kind, detector in detectors(root, settings)
    }
    save_result(root / "result.json", results, spent=root / "checkpoints")


def detectors(root: Path, settings: Settings) -> Iterator[tuple[str, Detector]]:
    """The detector with each kind of weights; it is the same one, changed."""
    store = root / "artifacts" / "features" / "features.zarr"
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    trained = root / "artifacts" / "train"
    histories = json.loads((trained / "history.json").read_text("utf-8"))
    settled, _ = settle_training(settings.train, count_rows(train))
    detector = Detector(verifier_config(settings, count_rows(train))[0])
    found: dict[str, Candidates] = {}
    for names, head in zip(detector.config.inputs, detector.heads, strict=True):
        name = input_name(names)
        rows = dataset(train, name, npy_sources(settings, name, root=root))
        found[name] = find_candidates(
            cast(Head, head),
            trained / name,
            history=histories[name],
            train=rows,
            used=used_rows(rows, settled.batch_composition),
            validation=validation,
            frontend=name,
            top_k=settings.average.top_k,
            fa_per_hour=settings.train.validation_fa_per_hour,
        )
    for kind in KINDS:
        for head, of in zip(detector.heads, found.values(), strict=True):
            chosen = {"kept": of.best, "best single": of.best_single}.get(kind, kind)
            head.load_state_dict(of.weights[chosen])
        detector.settle_silence()
        yield kind, detector


def print_table(workspace: Path, trainings: list[Training], *, split: str) -> None:
    """Misses of each row, and how they differ from those of the first."""
    by_row: dict[str, dict[int, Missed]] = {}
    for training in trainings:
        path = training.folder / "result.json"
        if path.is_file():
            for kind, missed in json.loads(path.read_text("utf-8")).items():
                by_row.setdefault(f"{training.name}, {kind}", {})[training.seed] = missed
    if not by_row:
        print(f"\n{workspace}: nothing is done")
        return
    budget = load_settings(workspace / "params.yaml").publish.budget_fa_per_hour
    title = f"{workspace.resolve().name}, {split}"
    print_misses(by_row, beside=next(iter(by_row)), split=split, budget=budget, title=title)


def _hear(workspace: Path, out: Path) -> None:
    """The recordings as the front ends hear them, once for all trainings."""
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    hear_workspace(workspace, out)


def _one_thread() -> None:
    torch.set_num_threads(1)


if __name__ == "__main__":
    run(main)
