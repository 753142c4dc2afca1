"""What fusing front ends is worth: each alone, average, learned weights, joined features, other architectures.

    python -m benchmarks.fusion WORKSPACE OUT                              # the workspace's seed
    python -m benchmarks.fusion WORKSPACE OUT --seeds 7 8 9
    python -m benchmarks.fusion WORKSPACE OUT --mixed wakehubert=gru speech_embedding=crnn
    python -m benchmarks.fusion WORKSPACE OUT --show                       # the table of what is done

WORKSPACE has the stages up to features done, with several front ends and real recordings; its features are used as
they are, so seeds are those of training. OUT keeps what was found: a run that was stopped goes on. Heads on single
front ends are trained once: alone, averaged and with learned weights they are the same ones. `--mixed` puts another
architecture on one front end, a training for each.

Misses and their limits are those of benchmarks/misses.py; differences are to the average.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.heard import SPLITS, hear_workspace
from benchmarks.misses import measure, print_misses
from benchmarks.program import run
from benchmarks.variants import prepare_variant, save_result, train_heads
from models.detector import Detector
from steps.feature_rows import input_name
from steps.fusion import learn_weights
from steps.settings import Settings, load_settings
from steps.store import RowReader
from steps.validation import score_rows

AVERAGE: Final = "average"
LEARNED: Final = "learned"
JOINED: Final = "joined"


def main() -> None:
    """Make what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", help="default: that of the workspace")
    parser.add_argument("--mixed", nargs="+", default=[], metavar="FRONT_END=ARCHITECTURE")
    parser.add_argument("--steps", type=int, help="default: the workspace's")
    parser.add_argument("--show", action="store_true", help="only print the table")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    settings = load_settings(options.workspace / "params.yaml")
    seeds, names = options.seeds or [settings.seed], [AVERAGE, *settings.features.frontends, LEARNED, JOINED]
    names += options.mixed
    experiments = {seed: Experiment(options.workspace, options.out, seed, options.steps) for seed in seeds}
    if not options.show:
        for experiment in experiments.values():
            experiment.single_heads(settings)
            for name in (JOINED, *options.mixed):
                experiment.other(name)
    found = {name: {seed: of.result(name) for seed, of in experiments.items() if of.result(name)} for name in names}
    for split in SPLITS:
        print_misses(found, beside=AVERAGE, split=split, budget=settings.publish.budget_fa_per_hour, title=split)


@dataclass(frozen=True)
class Experiment:
    """The models of one seed.

    Attributes:
        workspace: whose features and recordings are used.
        out: folder of all seeds.
        seed: of training.
        steps: of training; None for the workspace's.
    """

    workspace: Path
    out: Path
    seed: int
    steps: int | None

    def folder(self, name: str) -> Path:
        """Of a variant."""
        return self.out / f"seed-{self.seed}" / name

    def result(self, name: str) -> dict[str, Any]:
        """Which clips a variant missed, as `measure` says; empty if it is not done."""
        path = self.folder(name) / "result.json"
        return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}

    def single_heads(self, settings: Settings) -> None:
        """Train a head on each front end; measure each, their average, and that with learned weights."""
        names = [AVERAGE, LEARNED, *settings.features.frontends]
        if all((self.folder(name) / "result.json").is_file() for name in names):
            return
        detector = self._train(AVERAGE, {"fusion": AVERAGE, "architectures": {}})
        n_heads = len(detector.heads)
        validation = RowReader(self.workspace / "artifacts" / "features" / "features.zarr" / "validation")
        named = zip(detector.config.inputs, detector.heads, strict=True)
        logits = [score_rows(head, validation, frontend=input_name(inputs)) for inputs, head in named]  # type: ignore[arg-type]
        learned = torch.tensor(learn_weights(np.stack(logits, axis=1), validation["label"].all()))
        print(f"seed {self.seed}: learned weights {learned.tolist()}", flush=True)
        chosen = dict(zip(settings.features.frontends, torch.eye(n_heads), strict=True))
        for name, weights in {AVERAGE: torch.full((n_heads,), 1 / n_heads), LEARNED: learned, **chosen}.items():
            detector.weights = weights
            self._save(name, detector)

    def other(self, name: str) -> None:
        """Train and measure joined front ends, or another architecture on one of them."""
        if (self.folder(name) / "result.json").is_file():
            return
        frontend, _, architecture = name.partition("=")
        over: dict[str, Any] = {"fusion": AVERAGE, "architectures": {frontend: architecture}}
        self._save(name, self._train(name, {"fusion": JOINED, "architectures": {}} if name == JOINED else over))

    def _train(self, name: str, over: dict[str, Any]) -> Detector:
        print(f"seed {self.seed}: {name}", flush=True)
        root = self.folder(name)
        train = over if self.steps is None else {**over, "steps": self.steps}
        prepare_variant(root, workspace=self.workspace, over={"seed": self.seed, "train": train})
        link = root / "artifacts" / "features"
        if not link.is_symlink():
            link.symlink_to((self.workspace / "artifacts" / "features").resolve(), target_is_directory=True)
        return train_heads(root)

    def _save(self, name: str, detector: Detector) -> None:
        settings = load_settings(self.workspace / "params.yaml")
        missed = measure(detector, hear_workspace(self.workspace, self.out), settings)
        save_result(self.folder(name) / "result.json", missed, spent=None)


if __name__ == "__main__":
    run(main)
