"""What each augmentation, engine and setting contributes: leave one out or change it, make the model, measure it.

    python -m benchmarks.leave_one_out WORKSPACE OUT                        # all of them, the workspace's seed
    python -m benchmarks.leave_one_out WORKSPACE OUT --seeds 7 8 9
    python -m benchmarks.leave_one_out WORKSPACE OUT --only room engine:kokoro "augment.snr_db=[0.0, 30.0]" --seeds 7
    python -m benchmarks.leave_one_out WORKSPACE OUT --show                 # the table of what is done

WORKSPACE has the stages synthesize and corpus done, with real recordings. OUT keeps what was found: a run that was
stopped goes on, and runs with other seeds or with `--only` may share it, one after the other. Each works on one core.

Leaving out an augmentation sets its share to 0. Recipes are drawn so that nothing else changes, so only the windows
that had it are rendered again, and only their features extracted. Leaving out an engine takes away the windows that are
about its clips, and with them the number of windows; it is still among the voices of babble and context. Settings of
the stages augment, train and average can be changed as well, as long as the number of windows stays. Heads are trained
and averaged by the stages of the pipeline. All models hear the same streams of real recordings, those of the stage
evaluate.

Misses and their limits are those of benchmarks/misses.py. Positive: without it more is missed, so it is worth having.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.heard import SPLITS, hear_workspace
from benchmarks.misses import Missed, measure, print_misses
from benchmarks.program import run
from benchmarks.variant_features import make_kit, write_features, write_rows
from benchmarks.variants import make_stages, prepare_variant, save_result, train_heads
from nanowakeword.errors import ConfigError
from steps.augment import plan_windows, settle_copies
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import ClipPack
from steps.overlay import lay_over, parse_option
from steps.settings import Settings, load_settings
from steps.store import RowReader
from steps.windows import Recipe

WHOLE: Final = "whole"
ENGINE: Final = "engine:"
SETTING: Final = "="


def main() -> None:
    """Make what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", help="default: that of the workspace")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="augmentations, engine:NAME, or section.key=value; default: all in use",
    )
    parser.add_argument("--show", action="store_true", help="only print the table")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    settings = load_settings(options.workspace / "params.yaml")
    pack = ClipPack(options.workspace / "artifacts" / "synthesize")
    engines = sorted({clip.engine for clip in pack.clips if clip.kind == "positive" and clip.split == "train"})
    in_use = [name for name, value in settings.augment.shares.model_dump().items() if value > 0.0]
    known = [*in_use, *(f"{ENGINE}{name}" for name in engines)]
    if unknown := {name for name in options.only or () if name not in (WHOLE, *known) and SETTING not in name}:
        parser.error(
            f"--only: got {', '.join(sorted(unknown))}; expected settings, {WHOLE}, or some of {', '.join(known)}"
        )
    names, seeds = options.only or known, options.seeds or [settings.seed]
    if not options.show:
        for seed in seeds:
            experiment = Experiment(options.workspace, options.out, seed)
            for name in [WHOLE, *names]:
                experiment.run(name)
    print_table(options.out, names, seeds=seeds, budget=settings.publish.budget_fa_per_hour)


@dataclass(frozen=True)
class Experiment:
    """The models of one seed.

    Attributes:
        workspace: whose clips and recordings are used.
        out: folder of all seeds.
        seed: of rendering and training.
    """

    workspace: Path
    out: Path
    seed: int

    def folder(self, name: str) -> Path:
        """Of a variant."""
        return self.out / f"seed-{self.seed}" / re.sub(r"[^\w.=-]+", "-", name)

    def run(self, name: str) -> None:
        """Make and measure a model, unless its result is there."""
        root = self.folder(name)
        if (root / "result.json").is_file():
            return
        print(f"seed {self.seed}: {name if name == WHOLE or SETTING in name else f'without {name}'}", flush=True)
        settings = prepare_variant(root, workspace=self.workspace, over=self._over(name))
        if name == WHOLE:
            make_stages(root, "augment", "features")
        elif not (root / "artifacts" / "features").is_dir():
            self._change_features(root, name, settings)
        found = measure(train_heads(root), hear_workspace(self.workspace, self.out), settings)
        save_result(root / "result.json", found, spent=None if name == WHOLE else root / "artifacts")

    def _over(self, name: str) -> dict[str, Any]:
        """Settings of a variant."""
        over: dict[str, Any] = {"seed": self.seed, "augment": {"workers": 1}, "features": {"workers": 1}}
        if name in AUGMENTATIONS:
            lay_over(over, {"augment": {"shares": {name: 0.0}}}, known={})
        elif SETTING in name:
            lay_over(over, parse_option(name), known={})
        return over

    def _change_features(self, root: Path, name: str, settings: Settings) -> None:
        """Write the features of a variant: those of the whole, with some rows made anew or taken away."""
        whole = self.folder(WHOLE) / "artifacts"
        # Rooms are simulated with the settings of the whole, whatever the variant's are.
        kit_of_whole = make_kit(self.folder(WHOLE), load_settings(self.folder(WHOLE) / "params.yaml"))
        kit = replace(kit_of_whole, settings=settings.augment, phrase=settings.wakeword.phrase)
        recipes = read_recipes(whole / "augment" / "recipes.jsonl")
        with write_features(root) as store:
            makers = kit.makers()
            copies, _ = settle_copies(settings.augment, makers["train"].sources)
            for split, maker in makers.items():
                rows, anew = list(range(len(recipes[split]))), {}
                if not name.startswith(ENGINE):
                    plans, _ = plan_windows(
                        maker.sources, settings.augment, copies=copies, is_validation=split == "validation"
                    )
                    if len(plans) != len(rows):
                        raise ConfigError(
                            name, got="another number of windows", hint="Make a workspace of its own for it"
                        )
                    drawn = [maker.draw(plan) for plan in plans]
                    anew = {row: recipe for row, recipe in enumerate(drawn) if recipe != recipes[split][row]}
                else:
                    engine = name.removeprefix(ENGINE)
                    rows = [row for row in rows if not is_about(recipes[split][row], engine, maker.sources.pack)]
                print(f"  {split}: {len(rows)} of {len(recipes[split])} windows, {len(anew)} made anew", flush=True)
                source = RowReader(whole / "features" / "features.zarr" / split)
                write_rows(store, source, split, np.array(rows), anew, maker, settings=settings.features)


def read_recipes(path: Path) -> dict[str, list[Recipe]]:
    """Recipes by split, in the order of the rows."""
    recipes: defaultdict[str, list[Recipe]] = defaultdict(list)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            recipe = Recipe.from_json(json.loads(line))
            recipes[recipe.split].append(recipe)
    return recipes


def is_about(recipe: Recipe, engine: str, pack: ClipPack) -> bool:
    """Whether a voice that a window is about is of this engine."""
    return any(pack.clips[voice["clip"]].engine == engine for voice in recipe.voices if "clip" in voice)


def print_table(out: Path, names: Sequence[str], *, seeds: Sequence[int], budget: float) -> None:
    """Misses of each variant, and how they differ from those of the whole."""
    results: dict[str, dict[int, Missed]] = {}
    for name in (WHOLE, *names):
        paths = {seed: Experiment(Path(), out, seed).folder(name) / "result.json" for seed in seeds}
        results[name] = {seed: json.loads(path.read_text("utf-8")) for seed, path in paths.items() if path.is_file()}
    for split in SPLITS:
        print_misses(results, beside=WHOLE, split=split, budget=budget, title=split)


if __name__ == "__main__":
    run(main)
