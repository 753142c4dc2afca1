"""Train one head on each front end, or one on all of them joined, drawing samples by their loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from models.table import build_head
from nanowakeword.errors import ConfigError, StorageError
from steps.automatic_training import count_rows, settle_training
from steps.checkpoints import checkpoint_paths, load_checkpoint
from steps.derived import save_derived
from steps.effective_settings import EffectiveSetting, effective_settings
from steps.feature_rows import input_name
from steps.losses import HardTargets
from steps.npy_sources import check_npy_sources, check_npy_values, npy_sources
from steps.optimisation import compute_repeatably
from steps.plots import plot_training
from steps.resuming import describe_origin, find_beginning
from steps.settings import SettledTrain, Train
from steps.stage import STAGES, Context
from steps.store import RowReader
from steps.training import TrainingJob, train_head
from steps.training_record import Trained
from steps.training_report import curve_csv, describe_run, format_run
from steps.training_rows import dataset, row_labels, standardise, used_rows
from steps.verifier import verifier_config

__all__ = ["run"]


def run(context: Context) -> None:
    """Train the heads.

    Writes ``<front end>/step_*.pt``, of joined ones ``<one>+<other>`` (weights of the kept checkpoints and their moving
    average), ``history.json``, the figures ``report.json``, the settings that were derived ``automatic.json``, for
    people ``report.md`` and ``training.png``, and ``curves/<front end>.csv`` for DVC.
    """
    compute_repeatably()
    settings, progress = context.settings, context.progress
    store = context.input("features") / "features.zarr"
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    check_npy_sources(settings, root=context.root)
    check_npy_values(settings, root=context.root)
    files = {f"npy_sources {path}": context.root / path for path in settings.train.npy_paths}
    origin = describe_origin(settings, sections=STAGES["train"].sections, data={"features": store, **files})
    find_beginning(context.checkpoints, context.beginning, origin=origin, tell=progress.say)
    runs: dict[str, Trained] = {}
    counts = count_rows(train)
    _refuse_lone_sources(settings.train, counts)
    settled, derived = settle_training(settings.train, counts)
    config, sizes = verifier_config(settings, counts)
    derived += sizes
    effective = effective_settings(settings, sections=STAGES["train"].sections, derived=derived)
    for line in _tell(effective):
        progress.say(line)
    save_derived(context.out, derived)
    heads = [input_name(names) for names in config.inputs]
    more = {name: npy_sources(settings, name, root=context.root) for name in heads}
    for number, (frontend, network, form) in enumerate(zip(heads, config.networks, config.forms, strict=True)):
        seed = settings.seed * 1_000 + number
        torch.manual_seed(seed)
        head = build_head(
            network,
            form=form,
            members=settings.train.members,
            dropout_prob=settings.train.dropout_prob,
        )
        rows = dataset(train, frontend, more[frontend])
        standardise(head, rows, used_rows(rows, settled.batch_composition), seed=seed)
        job = TrainingJob(
            frontend=frontend,
            train=train,
            validation=validation,
            settings=settled,
            steps=settled.steps,
            learning_rate_max=settled.learning_rate_max,
            seed=seed,
            checkpoints=context.checkpoints / frontend,
            loss=HardTargets(
                row_labels(train, more[frontend]),
                smoothing=settings.train.label_smoothing,
                focal_gamma=settings.train.focal_gamma,
                margin=settings.train.margin,
            ),
            more=more[frontend],
        )
        with progress.table():
            runs[frontend] = train_head(head, job, progress=progress)
        keep_weights(job.checkpoints, context.out / frontend, warn=progress.say)
    _write_reports(runs, effective, settled, context.out)
    progress.say(f"see {context.root / STAGES['train'].out / 'report.md'}")


def _refuse_lone_sources(train: Train, rows: Mapping[str, int]) -> None:
    """A pool of files alone would be one of a single head, and of no gate."""
    pools = {source.pool: source.path for source in train.npy_sources if not rows.get(source.pool)}
    if pools:
        raise ConfigError(
            "train.npy_sources",
            got="; ".join(f"{path} for the pool {pool}, which has no windows" for pool, path in pools.items()),
            expected="some of " + ", ".join(pool for pool, count in rows.items() if count),
        )


def _tell(effective: Sequence[EffectiveSetting]) -> list[str]:
    """The settings that are the user's in a line, automatic ones with their reasons; all are in the report."""
    mine = [f"{setting.name} {setting.value}" for setting in effective if setting.source == "user"]
    return [
        f"settings of the user: {', '.join(mine) or 'none'}",
        *(f"automatic: {item.name} {item.value}: {item.reason}" for item in effective if item.source == "automatic"),
        "all other settings are the defaults",
    ]


def _write_reports(
    runs: Mapping[str, Trained], effective: Sequence[EffectiveSetting], settings: SettledTrain, folder: Path
) -> None:
    histories = {name: trained.history for name, trained in runs.items()}
    figures = describe_run(runs, steps=settings.steps, fa_per_hour=settings.validation_fa_per_hour)
    (folder / "history.json").write_text(json.dumps(histories, indent=2) + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(format_run(figures, effective), encoding="utf-8")
    (folder / "curves").mkdir()
    for name, trained in runs.items():
        (folder / "curves" / f"{name}.csv").write_text(curve_csv(trained), encoding="utf-8")
    plot_training(histories, {name: trained.losses for name, trained in runs.items()}, folder / "training.png")


def keep_weights(checkpoints: Path, folder: Path, *, warn: Callable[[str], None]) -> None:
    """Copy out of each checkpoint what later stages need: the weights and their moving average.

    Args:
        checkpoints: folder of them.
        folder: to be made.
        warn: told of a damaged one, which is left out.
    """
    folder.mkdir()
    for path in checkpoint_paths(checkpoints):
        try:
            saved = load_checkpoint(path)
        except StorageError as error:
            warn(f"warning: {error}; it is left out")
            continue
        torch.save({"network": saved["network"], "ema": saved["ema"]["weights"]}, folder / path.name)
