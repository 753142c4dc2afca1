"""What near-words in training buy and what they cost: the sweep of their share, their weight and their distance.

    python -m benchmarks.neighbours WORKSPACE OUT
    python -m benchmarks.neighbours WORKSPACE OUT --rows 10 40 --weights 0.1 1 --min-distances 0.3 0.4 --seeds 7 8 9
    python -m benchmarks.neighbours WORKSPACE OUT --show                    # the tables of what is done
    python -m benchmarks.neighbours WORKSPACE OUT --show --split test

WORKSPACE has the stages phrases, synthesize and corpus done, with real recordings of the phrase and clips of neighbours
to train on and to measure on (``--set synthesize.neighbours=800 --set synthesize.evaluation_neighbours=600``), as near
as the nearest that is swept (``--set phrases.min_distance=0.2``). OUT keeps what was found: a run that was stopped goes
on, and others may add to it.

A variant is rows of neighbours in each batch, the weight of their losses, and how near they may be; without any rows
the others are the same. Windows and features are made once; each variant trains and averages heads by the stages of the
pipeline, on one thread. All hear the same streams: the real recordings of the stage evaluate, clean, in babble and
without the phrase, and the clips of confusables, whose words training never heard.

For each variant: misses on real recordings at the threshold that the budget asks for on real recordings without the
phrase of the same split, and the share of confusables that it accepts there, by their distance; exact limits,
confidence 95 %. Choose on calibration; the table of the test split is for what was chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.heard import CONDITIONS, SPLITS, hear, hearing_detector, score, write_features
from benchmarks.program import run
from benchmarks.variants import make_stages, prepare_variant, save_result, train_heads
from models.detector import Detector
from nanowakeword.errors import ConfigError
from nanowakeword.evaluation.false_accepts import FalseAccepts
from nanowakeword.evaluation.limits import share
from nanowakeword.evaluation.measure import threshold_for_budget
from nanowakeword.evaluation.scoring import clip_peaks
from steps.clippack import ClipPack
from steps.confusables import find_confusables
from steps.settings import Settings, load_settings
from steps.store import RowReader, RowWriter

PEOPLE: Final = CONDITIONS[:2]
GAP_S: Final = 2.5
TENTHS: Final = 10


@dataclass(frozen=True, kw_only=True, order=True)
class Variant:
    """How neighbours are trained on.

    Attributes:
        rows: of them in each batch.
        weight: of their losses.
        min_distance: how near they may be.
        seed: of training.
    """

    rows: int
    weight: float
    min_distance: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"rows-{self.rows}-weight-{self.weight:g}-distance-{self.min_distance:g}-seed-{self.seed}"

    @property
    def label(self) -> tuple[int, float, float]:
        """All but the seed."""
        return self.rows, self.weight, self.min_distance


def main() -> None:
    """Make what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[20], help="of neighbours in a batch (default: 20)")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.1, 0.3, 1.0], help="default: 0.1 0.3 1")
    parser.add_argument("--min-distances", type=float, nargs="+", default=[0.2, 0.3, 0.4], help="default: 0.2 0.3 0.4")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: that of the workspace")
    parser.add_argument("--split", choices=SPLITS, default="calibration")
    parser.add_argument("--show", action="store_true", help="only print the tables")
    options = parser.parse_args()
    # Sums in another order are other numbers, and heads so small gain nothing from a second thread.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    settings = load_settings(options.workspace / "params.yaml")
    if not options.show:
        sweep = Sweep(options.workspace, options.out, settings=settings)
        sweep.prepare()
        for seed in options.seeds or [settings.seed]:
            sweep.run(Variant(rows=0, weight=0.0, min_distance=0.0, seed=seed))
            for rows, weight, distance in product(options.rows, options.weights, options.min_distances):
                sweep.run(Variant(rows=rows, weight=weight, min_distance=distance, seed=seed))
    print_tables(options.out, split=options.split, budget=settings.publish.budget_fa_per_hour)


class Sweep:
    """Variants of one workspace.

    Args:
        workspace: whose clips and recordings are used.
        out: where everything is kept.
        settings: of the workspace.
    """

    def __init__(self, workspace: Path, out: Path, *, settings: Settings) -> None:
        self._workspace, self._out, self._settings = workspace, out, settings
        self._whole = out / "whole"
        self._clips = workspace / "artifacts" / "synthesize"

    def prepare(self) -> None:
        """Windows, features, and what is heard, unless they are there."""
        splits = {clip.split for clip in ClipPack(self._clips).clips if clip.kind == "neighbour"}
        if missing := [split for split in ("train", *SPLITS) if split not in splits]:
            raise ConfigError(
                f"{self._workspace} has no clips of neighbours for {', '.join(missing)}",
                hint="Set synthesize.neighbours and synthesize.evaluation_neighbours, and run the stage again",
            )
        prepare_variant(self._whole, workspace=self._workspace, over={})
        make_stages(self._whole, "augment", "features")
        hear(
            self._out / "heard",
            settings=self._settings,
            clips=self._clips,
            corpus=self._workspace / "artifacts" / "corpus",
        )
        self._hear_confusables()

    def run(self, variant: Variant) -> None:
        """Train and measure a variant, unless its result is there."""
        result = self._out / "variants" / f"{variant.name}.json"
        if result.is_file():
            return
        print(variant.name, flush=True)
        root = self._out / "working" / variant.name
        composition = {**self._settings.train.batch_composition, "neighbour": variant.rows}
        train = {"batch_composition": composition, "neighbour_weight": variant.weight}
        prepare_variant(root, workspace=self._workspace, over={"seed": variant.seed, "train": train})
        if not (root / "artifacts" / "features").is_dir():
            self._leave_out_near(root / "artifacts" / "features", variant.min_distance)
        found = {"label": variant.label, "seed": variant.seed, **self._measure(train_heads(root))}
        save_result(result, found, spent=root)

    def _leave_out_near(self, folder: Path, min_distance: float) -> None:
        """The features of all windows, as hard links, those of nearer neighbours in no pool."""
        working = folder.with_name(".features.working")
        shutil.rmtree(working, ignore_errors=True)
        store = working / "features.zarr"
        shutil.copytree(self._whole / "artifacts" / "features" / "features.zarr", store, copy_function=os.link)
        rows = RowReader(store / "train")
        pools, clips = rows["pool"].all(), rows["clip"].all()
        distances = np.array([clip.distance or 0.0 for clip in ClipPack(self._clips).clips])
        neighbours = pools == rows.attributes["pools"].index("neighbour")
        pools[neighbours & (distances[clips] < min_distance)] = -1
        with RowWriter(working / "pool.zarr") as writer:
            writer.append("pool", pools)
        shutil.rmtree(store / "train" / "pool")
        (working / "pool.zarr" / "pool").rename(store / "train" / "pool")
        shutil.rmtree(working / "pool.zarr")
        working.rename(folder)

    def _hear_confusables(self) -> None:
        """Features of the confusables of both splits."""
        detector = hearing_detector(self._settings)
        for split in SPLITS:
            folder = self._out / "confusables" / split
            if folder.is_dir():
                continue
            found = find_confusables(split, wakeword=self._settings.wakeword, clips=self._clips)
            working = folder.with_name(f".{split}.working")
            shutil.rmtree(working, ignore_errors=True)
            recordings = [item.recording for item in found]
            print(f"hearing {len(recordings)} confusables, {split}", flush=True)
            with torch.inference_mode():
                write_features(working, recordings, detector, gap_s=GAP_S, babble=None, seed=self._settings.seed)
            facts = [{"distance": item.distance, "group": item.group} for item in found]
            (working / "confusables.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
            working.rename(folder)

    def _measure(self, detector: Detector) -> dict[str, Any]:
        """Misses, and which confusables are accepted, by split."""
        settings = self._settings.evaluate
        detector.settle_silence()
        found: dict[str, Any] = {}
        for split in SPLITS:
            heard = self._out / "heard" / split
            false_accepts = FalseAccepts(score(heard / "other", detector), refractory_s=settings.refractory_s)
            found_threshold = threshold_for_budget(false_accepts, self._settings.publish.budget_fa_per_hour)
            threshold = 2.0 if found_threshold is None else found_threshold  # then nothing may be accepted
            missed = {
                name: [
                    bool(peak < threshold) for peak in clip_peaks(score(heard / name, detector), tail_s=settings.tail_s)
                ]
                for name in PEOPLE
            }
            folder = self._out / "confusables" / split
            peaks = clip_peaks(score(folder, detector), tail_s=settings.tail_s)
            facts = json.loads((folder / "confusables.json").read_text("utf-8"))
            accepted = [
                [fact["group"], fact["distance"], bool(peak >= threshold)]
                for fact, peak in zip(facts, peaks, strict=True)
            ]
            found[split] = {"threshold": threshold, "missed": missed, "accepted": accepted}
        return found


def print_tables(out: Path, *, split: str, budget: float) -> None:
    """A line for each variant, all seeds together."""
    results: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for path in sorted((out / "variants").glob("*.json")):
        found = json.loads(path.read_text("utf-8"))
        results.setdefault(tuple(found["label"]), []).append(found[split])
    print(f"\n{split}: missed at {budget:g} false accepts per hour on real recordings, %")
    print(f"{'rows':>5} {'weight':>7} {'nearest':>8} {'seeds':>6}" + "".join(f"  {name:>19}" for name in PEOPLE))
    for label, found_of in sorted(results.items()):
        cells = [rate([hit for found in found_of for hit in found["missed"][name]]) for name in PEOPLE]
        print(line(label, found_of) + "".join(f"  {cell:>19}" for cell in cells))
    for group in ("neighbours", "parts"):
        tenths = sorted({tenth(item) for of in results.values() for found in of for item in in_group(found, group)})
        print(f"\n{split}: {group} of the phrase accepted at the same threshold, %, by distance")
        print(
            f"{'rows':>5} {'weight':>7} {'nearest':>8} {'seeds':>6}"
            + "".join(f"  {t / 10:.1f}-{(t + 1) / 10:.1f}".rjust(20) for t in tenths)
        )
        for label, found_of in sorted(results.items()):
            items = [item for found in found_of for item in in_group(found, group)]
            cells = [rate([item[2] for item in items if tenth(item) == t]) for t in tenths]
            print(line(label, found_of) + "".join(cell.rjust(20) for cell in cells))


def in_group(found: Mapping[str, Any], group: str) -> Iterator[Sequence[Any]]:
    """Group, distance and whether it was accepted of each confusable of a group."""
    return (item for item in found["accepted"] if item[0] == group)


def tenth(item: Sequence[Any]) -> int:
    """Which tenth of distance."""
    return min(TENTHS - 1, int(TENTHS * item[1]))


def line(label: Sequence[float], found: Sequence[Any]) -> str:
    """What a variant is."""
    rows, weight, distance = label
    return f"{rows:>5} {weight:>7g} {distance:>8g} {len(found):>6}"


def rate(hits: Sequence[bool]) -> str:
    """A percentage with its limits."""
    if not hits:
        return ""
    found = share(sum(hits), len(hits))
    return f"{100 * found.rate:.1f} ({100 * found.low:.1f}-{100 * found.high:.1f})"


if __name__ == "__main__":
    run(main)
