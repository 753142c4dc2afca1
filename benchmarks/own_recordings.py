"""What a few recordings of the owner's are worth: 0, 5, 10 and 30 of them in training, measured on other recordings.

    python -m benchmarks.own_recordings WORKSPACE OUT                     # the workspace's seed
    python -m benchmarks.own_recordings WORKSPACE OUT --seeds 7 8 9
    python -m benchmarks.own_recordings WORKSPACE OUT --takes 0 10 --show # the table of what is done

WORKSPACE has the stages synthesize and corpus done, with real recordings of the phrase in both of the latter's splits,
and none of it in training. The owner's are drawn by the seed from the calibration part, the fewer being among the more,
each rendered into ``augment.recording_copies`` windows; misses are counted on the test part, whose speakers and
recordings are others. Where speakers are not named, "the owner" is as many people as recordings: a household at most,
so expect more of recordings of one person who is also the one who uses it.

OUT keeps what was found: a run that was stopped goes on, and other seeds may share it, also with
benchmarks/leave_one_out.py. Windows without the owner's are rendered once a seed; of the others only what the owner's
add. Heads are trained and averaged by the stages of the pipeline, and all models hear the same streams, those of the
stage evaluate. Thresholds and limits are those of benchmarks/misses.py; a negative difference says that the owner's
recordings are worth having.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.heard import hear_workspace
from benchmarks.misses import measure, print_misses
from benchmarks.program import run
from benchmarks.variant_features import add_phrase_windows, make_kit, write_features, write_rows
from benchmarks.variants import make_stages, prepare_variant, save_result, train_heads
from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.recipes import Plan
from steps.recordings import Recording, load_recordings
from steps.settings import Settings, load_settings
from steps.sources import recorded_word
from steps.store import RowReader
from steps.windows import SPLITS

TAKES: Final = (0, 5, 10, 30)
MEASURED: Final = "test"
DRAWN_KEY: Final = 0x0E6


def main() -> None:
    """Make what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--takes", type=int, nargs="+", default=TAKES, metavar="N", help="of the owner's (0 5 10 30)")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: that of the workspace")
    parser.add_argument("--show", action="store_true", help="only print the table")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    settings = load_settings(options.workspace / "params.yaml")
    seeds, takes = options.seeds or [settings.seed], sorted({0, *options.takes})
    if not options.show:
        for seed in seeds:
            experiment = Experiment(options.workspace, options.out, seed, most=max(takes))
            for number in takes:
                experiment.run(number)
    print_table(options.out, takes, seeds=seeds, budget=settings.publish.budget_fa_per_hour)


@dataclass(frozen=True)
class Experiment:
    """The models of one seed.

    Attributes:
        workspace: whose clips and recordings are used.
        out: folder of all seeds.
        seed: of the draw, of rendering and training.
        most: recordings of the owner's at most.
    """

    workspace: Path
    out: Path
    seed: int
    most: int

    def folder(self, number: int) -> Path:
        """Of the model with so many recordings."""
        return self.out / f"seed-{self.seed}" / f"own-{number}"

    def run(self, number: int) -> None:
        """Make and measure a model, unless its result is there."""
        root = self.folder(number)
        if (root / "result.json").is_file():
            return
        print(f"seed {self.seed}: {number} recordings of the owner's", flush=True)
        over = {"seed": self.seed, "augment": {"workers": 1}, "features": {"workers": 1}}
        settings = prepare_variant(root, workspace=self.workspace, over=over)
        if number == 0:
            make_stages(root, "augment", "features")
        elif not (root / "artifacts" / "features").is_dir():
            self._add_own(root, settings, self._owner(settings)[:number])
        missed = measure(train_heads(root), hear_workspace(self.workspace, self.out), settings)
        found = {MEASURED: missed[MEASURED]}
        save_result(root / "result.json", found, spent=root / "artifacts" if number else None)

    def _owner(self, settings: Settings) -> list[Recording]:
        """The owner's recordings, in the order in which they are added; none is measured on."""
        phrase = settings.wakeword.phrase
        spoken = [item for item in load_recordings(self.workspace / "artifacts" / "corpus") if item.is_of(phrase)]
        if any(item.split == "train" for item in spoken):
            raise ConfigError(
                "real recordings of the phrase are in training already", hint="Set corpus.split.train to 0"
            )
        fitting = [item for item in spoken if item.split == "calibration" and _fits(item, settings)]
        if len(fitting) < self.most:
            raise ConfigError(
                "recordings for the owner", got=f"{len(fitting)} of {phrase!r} in calibration", expected=self.most
            )
        order = np.random.default_rng([self.seed, DRAWN_KEY]).permutation(len(fitting))
        return [fitting[index] for index in order]

    def _add_own(self, root: Path, settings: Settings, owner: Sequence[Recording]) -> None:
        """The features without the owner's, and behind them those of the owner's windows."""
        base = self.folder(0) / "artifacts" / "features" / "features.zarr"
        maker, copies = make_kit(self.folder(0), settings).makers()["train"], settings.augment.recording_copies
        with write_features(root) as store:
            for split in SPLITS:
                source = RowReader(base / split)
                rows = np.arange(len(source["label"].all()))
                write_rows(store, source, split, rows, {}, maker, settings=settings.features)
            n_rows = len(RowReader(base / "train")["label"].all())
            # A recording's windows are the same whatever others there are.
            plans = [
                Plan(index=n_rows + number * copies + copy, form="phrase", recording=recording)
                for number, recording in enumerate(owner)
                for copy in range(copies)
            ]
            add_phrase_windows(store, plans, [-1] * len(plans), maker, settings=settings.features)
        facts = json.dumps([asdict(item) for item in owner], indent=2)
        (root / "artifacts" / "features" / "owner.json").write_text(facts, encoding="utf-8")
        print(f"  {len(owner)} recordings: {len(plans)} windows", flush=True)


def _fits(recording: Recording, settings: Settings) -> bool:
    first, last = recorded_word(recording.path)
    return last - first <= round(settings.augment.window_s * SAMPLE_RATE_HZ)


def print_table(out: Path, takes: Sequence[int], *, seeds: Sequence[int], budget: float) -> None:
    """Misses with so many recordings of the owner's, and how they differ from those with none."""
    results: dict[str, dict[int, Any]] = {}
    for number in takes:
        paths = {seed: Experiment(Path(), out, seed, 0).folder(number) / "result.json" for seed in seeds}
        done = {seed: json.loads(path.read_text("utf-8")) for seed, path in paths.items() if path.is_file()}
        results[_name(number)] = done
    print_misses(results, beside=_name(0), split=MEASURED, budget=budget, title=MEASURED)


def _name(takes: int) -> str:
    return f"{takes:>3} of the owner's"


if __name__ == "__main__":
    run(main)
