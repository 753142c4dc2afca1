"""Let pretrained front ends go on learning, together with their heads, from the windows that their features came from.

Each head learns with the front ends that it listens to, as it learned without them: by the same loop, loss and sampler,
at a small learning rate. Validation, of windows streamed through the front ends, decides whether the outcome is kept.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, Final, cast

import torch

from models.detector import Detector
from models.streaming import Head
from steps.automatic_training import count_rows, settle_training
from steps.checkpoints import load_checkpoint
from steps.end_to_end import EndToEnd
from steps.feature_rows import AUDIO, input_name
from steps.fusion import fit_fusion
from steps.losses import HardTargets
from steps.optimisation import compute_repeatably
from steps.resuming import describe_origin, find_beginning
from steps.stage import STAGES, Context
from steps.store import RowReader
from steps.training import TrainingJob, train_head
from steps.training_rows import row_labels
from steps.validation import Validation, fuse, rate, stored_hops, stream_detector

__all__ = ["run"]

_DETECTOR: Final = "detector.pt"


def run(context: Context) -> None:
    """Fine-tune the front ends that the settings name; where they name none, hand on the detector as it is.

    Writes ``detector.pt`` (`Detector.save_state`) and, where there was something to tune, ``finetuning.json``:
    validation of each head and of all together, ``untuned`` and ``tuned``, and what was kept.
    """
    settings = context.settings
    averaged, windows = context.input("average") / _DETECTOR, context.input("augment") / "windows.zarr"
    if not settings.finetune.frontends:
        shutil.copyfile(averaged, context.out / _DETECTOR)
        return
    compute_repeatably()
    data = {"windows": windows, "detector": averaged}
    origin = describe_origin(settings, sections=STAGES["finetune"].sections, data=data)
    find_beginning(context.checkpoints, context.beginning, origin=origin, tell=context.progress.say)

    saved = torch.load(averaged, weights_only=True)
    validation, budget = RowReader(windows / "validation"), settings.train.validation_fa_per_hour
    hops, labels = stored_hops(validation, [AUDIO]), validation["label"].all()
    detector = Detector.from_saved(saved)
    streams = stream_detector(detector, validation, hops=hops)
    untuned = rate(fuse(streams, detector.weights.numpy()), labels, fa_per_hour=budget)
    report: dict[str, Any] = {"heads": {}}
    tuned: list[str] = []
    for number, (names, streamed) in enumerate(zip(detector.config.inputs, streams, strict=True)):
        if chosen := [str(name) for name in settings.finetune.frontends if name in names]:
            context.progress.say(f"fine-tunes {' and '.join(chosen)}")
            before = rate(streamed, labels, fa_per_hour=budget)
            found = _tune_head(detector, number, chosen, before, windows=windows, context=context)
            report["heads"][input_name(names)] = found
            tuned += chosen if found["kept"] else []
    detector.config = dataclasses.replace(detector.config, tuned=tuple(tuned))
    fused = fit_fusion(detector, stream_detector(detector, validation, hops=hops), labels)
    after = rate(fused, labels, fa_per_hour=budget)
    kept = bool(tuned) and after.rank <= untuned.rank
    report |= {"untuned": untuned.to_json(), "tuned": after.to_json(), "kept": tuned if kept else []}
    torch.save(detector.save_state() if kept else saved, context.out / _DETECTOR)
    (context.out / "finetuning.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    context.progress.say(
        f"misses at {budget:g} FA/h: untuned {100 * untuned.miss_rate:.1f} %, tuned {100 * after.miss_rate:.1f} %; "
        f"tuned and kept: {', '.join(report['kept']) or 'none'}"
    )


def _tune_head(
    detector: Detector, number: int, chosen: list[str], before: Validation, *, windows: Path, context: Context
) -> dict[str, Any]:
    """Train a head with its front ends in place; where no checkpoint is as good as before, leave them as they were."""
    settings = context.settings
    train, name = RowReader(windows / "train"), input_name(detector.config.inputs[number])
    settled, _ = settle_training(settings.train, count_rows(train))
    network = EndToEnd(
        detector,
        number,
        tuned=chosen,
        feature_noise=settled.feature_noise,
        spec_augment=settled.spec_augment,
    )
    start = {key: value.clone() for key, value in network.state_dict().items()}
    job = TrainingJob(
        frontend=AUDIO,
        train=train,
        validation=RowReader(windows / "validation"),
        # Samples are not disturbed, their features are; and no spectrum survives bfloat16.
        settings=settled.model_copy(update={"feature_noise": 0.0, "spec_augment": None, "precision": "float32"}),
        steps=settings.finetune.steps,
        learning_rate_max=settings.finetune.learning_rate_max,
        seed=settings.seed * 1_000 + number,
        checkpoints=context.checkpoints / name,
        loss=HardTargets(
            row_labels(train),
            smoothing=settled.label_smoothing,
            focal_gamma=settled.focal_gamma,
            margin=settled.margin,
        ),
    )
    with context.progress.table():
        trained = train_head(cast(Head, network), job, progress=context.progress)
    best = trained.best
    kept = (best["miss_rate"], round(best["validation_loss"], 3)) <= before.rank
    if kept:
        network.load_state_dict(load_checkpoint(job.checkpoints / f"step_{best['step']:06d}.pt")["ema"]["weights"])
    else:
        network.load_state_dict(start)
    network.requires_grad_(False)
    return {"kept": kept, "step": best["step"], "untuned": before.to_json(), "history": trained.history}
