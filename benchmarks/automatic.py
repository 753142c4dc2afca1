"""What automatic settings are worth: fixed ones against those derived from the data, of few clips and of all.

    python -m benchmarks.automatic WORKSPACE OUT                          # 100 clips and all, the workspace's seed
    python -m benchmarks.automatic WORKSPACE OUT --clips 100 300 all --seeds 7 8 9
    python -m benchmarks.automatic WORKSPACE OUT --clips 100 --few-voices # of as few voices as speak so many
    python -m benchmarks.automatic WORKSPACE OUT --also train.size=small  # automatic, but for this
    python -m benchmarks.automatic WORKSPACE OUT --split test --show      # the table of what is done

WORKSPACE has the stages synthesize and corpus done, with real recordings; OUT keeps what was found: a run that was
stopped goes on. Fixed settings are those that were best with 2,400 clips of the phrase. The few clips are drawn from
those for training by the seed; other windows and validation are those of all clips, so that only what is derived
differs. Of each clip the windows of the fixed settings are among those of the automatic ones. Heads are trained and
averaged by the stages of the pipeline, and all models hear the same streams, those of the stage evaluate. Thresholds
and limits are those of benchmarks/misses.py; a negative difference says that automatic settings miss less.
Rules are chosen on the split calibration, which is what is shown unless ``test`` is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.heard import SPLITS as MEASURED
from benchmarks.heard import hear_workspace
from benchmarks.misses import measure, print_misses
from benchmarks.program import run
from benchmarks.variant_features import add_phrase_windows, make_kit, write_features, write_rows
from benchmarks.variants import make_stages, prepare_variant, save_result, train_heads
from nanowakeword.errors import ConfigError
from steps.automatic import choose_copies
from steps.clippack import ClipPack
from steps.overlay import lay_over, parse_option
from steps.recipes import Plan
from steps.settings import Settings, load_settings
from steps.store import RowReader
from steps.windows import POOLS, SPLITS

FIXED: Final[dict[str, Any]] = {
    "augment": {"copies": 2},
    "train": {
        "size": "small",
        "steps": 600,
        "learning_rate_max": 0.002,
        "batch_composition": {"positive": 68, "partial": 20, "speech": 88, "noise": 16, "neighbour": 0},
    },
}
AUTOMATIC: Final[dict[str, Any]] = {
    "augment": {"copies": "auto"},
    "train": {
        "size": "auto",
        "steps": "auto",
        "learning_rate_max": "auto",
        "batch_composition": {**dict.fromkeys(POOLS, "auto"), "neighbour": 0},
    },
}
FIXED_KIND: Final = "fixed"
AUTOMATIC_KIND: Final = "automatic"
ALL: Final = "all"
DRAWN_KEY: Final = 0xA07


def main() -> None:
    """Make what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", nargs="+", default=["100", ALL], metavar="N", help="of the phrase, or all (100 all)")
    parser.add_argument("--few-voices", action="store_true", help="draw voices, not clips")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: that of the workspace")
    parser.add_argument("--also", nargs="+", default=[], metavar="KEY=VALUE", help="more rows: automatic, but for this")
    parser.add_argument("--split", choices=MEASURED, default=MEASURED[0], help="to show (calibration)")
    parser.add_argument("--show", action="store_true", help="only print the table")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    settings = load_settings(options.workspace / "params.yaml")
    seeds = options.seeds or [settings.seed]
    kinds = [FIXED_KIND, AUTOMATIC_KIND, *options.also]
    experiments = {
        (amount, seed): Experiment(options.workspace, options.out, seed, amount, options.few_voices)
        for amount in options.clips
        for seed in seeds
    }
    if not options.show:
        for experiment in experiments.values():
            for kind in kinds:
                experiment.run(kind)
    for amount in options.clips:
        found = {seed: experiments[amount, seed] for seed in seeds}
        print_table(found, kinds, split=options.split, budget=settings.publish.budget_fa_per_hour)


@dataclass(frozen=True)
class Experiment:
    """The models of one seed and one amount; their kind is ``fixed``, ``automatic``, or a setting beside the latter.

    Attributes:
        workspace: whose clips and recordings are used.
        out: folder of all of them.
        seed: of the draw, of rendering and training.
        amount: clips of the phrase, or ``all``.
        few_voices: whether voices are drawn, with all their clips.
    """

    workspace: Path
    out: Path
    seed: int
    amount: str
    few_voices: bool

    @property
    def base(self) -> Path:
        """Folder of all clips with fixed settings, whose features the others start from."""
        return self.out / f"seed-{self.seed}" / f"{ALL}-fixed"

    def folder(self, kind: str) -> Path:
        """Of a model."""
        voices = "-few-voices" if self.few_voices and self.amount != ALL else ""
        return self.out / f"seed-{self.seed}" / re.sub(r"[^\w.=-]+", "-", f"{self.amount}{voices}-{kind}")

    def run(self, kind: str) -> None:
        """Make and measure a model, unless its result is there."""
        root = self.folder(kind)
        if (root / "result.json").is_file():
            return
        print(f"seed {self.seed}, {self.amount} clips, {kind}", flush=True)
        prepare_variant(self.base, workspace=self.workspace, over=self._over(FIXED_KIND))
        make_stages(self.base, "augment", "features")
        settings = prepare_variant(root, workspace=self.workspace, over=self._over(kind))
        if not (root / "artifacts" / "features").is_dir():
            self._change_features(root, settings, kind)
        found = measure(train_heads(root), hear_workspace(self.workspace, self.out), settings)
        save_result(root / "result.json", found, spent=None if root == self.base else root / "artifacts")

    def _over(self, kind: str) -> dict[str, Any]:
        """Settings of a kind, to lay over those of the workspace."""
        over = deepcopy(FIXED if kind == FIXED_KIND else AUTOMATIC)
        lay_over(over, {"seed": self.seed, "augment": {"workers": 1}, "features": {"workers": 1}}, known={})
        if kind not in (FIXED_KIND, AUTOMATIC_KIND):
            lay_over(over, parse_option(kind), known={})
        return over

    def _chosen(self, clips: Sequence[int], pack: ClipPack) -> list[int]:
        """Clips of the phrase to train on, some of those given."""
        if self.amount == ALL:
            return list(clips)
        number, rng = int(self.amount), np.random.default_rng([self.seed, DRAWN_KEY])
        order = [clips[index] for index in rng.permutation(len(clips))]
        if self.few_voices:
            voices = {clip: (pack.clips[clip].engine, pack.clips[clip].voice) for clip in order}
            rank = {voice: place for place, voice in enumerate(dict.fromkeys(voices.values()))}
            order.sort(key=lambda clip: rank[voices[clip]])
        if len(order) < number:
            raise ConfigError("--clips", got=number, expected=f"at most the {len(order)} there are for training")
        return order[:number]

    def _change_features(self, root: Path, settings: Settings, kind: str) -> None:
        """The features of all clips, of the phrase only some, and behind them those of more windows of these."""
        kit = make_kit(self.base, settings)
        maker = kit.makers()["train"]
        phrases = maker.sources.fitting(maker.sources.phrases, kit.n_samples)
        chosen = self._chosen(phrases, maker.sources.pack)
        had = int(FIXED["augment"]["copies"])
        copies = had if kind == FIXED_KIND else choose_copies(len(chosen)).value
        base = self.base / "artifacts" / "features" / "features.zarr"
        with write_features(root) as store:
            for split in SPLITS:
                source = RowReader(base / split)
                left_out = sorted(set(phrases) - set(chosen)) if split == "train" else []
                rows = np.flatnonzero(~np.isin(source["clip"].all(), left_out))
                write_rows(store, source, split, rows, {}, maker, settings=settings.features)
            first = len(RowReader(base / "train")["label"].all())
            more = [clip for _ in range(had, copies) for clip in chosen]
            plans = [Plan(index=first + place, form="phrase", clip=clip) for place, clip in enumerate(more)]
            add_phrase_windows(store, plans, more, maker, settings=settings.features)
        print(f"  {len(chosen)} clips of the phrase, {copies} windows of each", flush=True)


def print_table(experiments: dict[int, Experiment], kinds: Sequence[str], *, split: str, budget: float) -> None:
    """Misses with fixed and with automatic settings, and how they differ."""
    results: dict[str, dict[int, Any]] = {}
    for kind in kinds:
        paths = {seed: experiment.folder(kind) / "result.json" for seed, experiment in experiments.items()}
        results[kind] = {seed: json.loads(path.read_text("utf-8")) for seed, path in paths.items() if path.is_file()}
    amount = next(iter(experiments.values())).folder("").name.rstrip("-")
    print_misses(results, beside=FIXED_KIND, split=split, budget=budget, title=f"{amount}, {split}")


if __name__ == "__main__":
    run(main)
