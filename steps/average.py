"""Choose each head's weights: the moving average, an average of stable checkpoints (SWA), or the best single one.

Validation decides between the candidates; all of them are reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from models.detector import Detector
from models.streaming import Head
from steps.automatic_training import count_rows, settle_training
from steps.candidates import Candidates, find_candidates
from steps.feature_rows import input_name
from steps.fusion import fit_fusion
from steps.npy_sources import check_npy_sources, npy_sources
from steps.optimisation import compute_repeatably
from steps.stage import Context
from steps.store import RowReader
from steps.training_rows import dataset, used_rows
from steps.validation import rate, stored_hops, stream_detector
from steps.verifier import verifier_config

__all__ = ["choose_weights", "run"]


def run(context: Context) -> None:
    """Choose each head's weights, fuse the heads, calibrate the score.

    Writes ``detector.pt`` (`Detector.save_state`) and ``choice.json``.
    """
    compute_repeatably()
    settings = context.settings
    store = context.input("features") / "features.zarr"
    train, validation = RowReader(store / "train"), RowReader(store / "validation")
    settled, _ = settle_training(settings.train, count_rows(train))
    detector = Detector(verifier_config(settings, count_rows(train))[0])
    check_npy_sources(settings, root=context.root)
    histories = json.loads((context.input("train") / "history.json").read_text(encoding="utf-8"))
    choices: dict[str, Any] = {}
    budget, names = settings.train.validation_fa_per_hour, [input_name(names) for names in detector.config.inputs]
    for number, (name, head) in enumerate(zip(names, detector.heads, strict=True), start=1):
        rows = dataset(train, name, npy_sources(settings, name, root=context.root))
        found = find_candidates(
            cast(Head, head),
            context.input("train") / name,
            history=histories[name],
            train=rows,
            used=used_rows(rows, settled.batch_composition),
            validation=validation,
            frontend=name,
            top_k=settings.average.top_k,
            fa_per_hour=budget,
        )
        choices[name] = choose_weights(cast(Head, head), found)
        context.progress.say(_tell(name, choices[name], fa_per_hour=budget))
        context.progress.update(number, len(names), unit="heads")
    streams = stream_detector(detector, validation, hops=stored_hops(validation, settings.features.frontends))
    labels = validation["label"].all()
    fused = fit_fusion(detector, streams, labels)
    choices["weights"] = dict(zip(names, detector.weights.tolist(), strict=True))
    choices["fused"] = rate(fused, labels, fa_per_hour=budget).to_json()
    torch.save(detector.save_state(), context.out / "detector.pt")
    (context.out / "choice.json").write_text(json.dumps(choices, indent=2) + "\n", encoding="utf-8")


def choose_weights(head: Head, found: Candidates) -> dict[str, Any]:
    """Load the best candidate into a head.

    Returns:
        ``chosen``; the three that were to be compared, ``moving average``, ``swa`` and ``best single``, with their miss
        rates in ``compared``; which checkpoints were ``stable`` and which ``averaged``; and in ``candidates`` the
        validation of each.
    """
    cast(nn.Module, head).load_state_dict(found.weights[found.best])
    compared = {"moving average": "moving average", "swa": "swa", "best single": found.best_single}
    return {
        "chosen": found.best,
        "compared": {kind: found.results[name].to_json() for kind, name in compared.items()},
        "stable": found.stable,
        "averaged": found.averaged,
        "candidates": {name: result.to_json() for name, result in found.results.items()},
    }


def _tell(name: str, choice: Mapping[str, Any], *, fa_per_hour: float) -> str:
    """What was chosen for a head, and from what, in a line."""
    misses = ", ".join(f"{kind} {100 * of['miss_rate']:.1f} %" for kind, of in choice["compared"].items())
    averaged = ", ".join(name.removeprefix("step_").lstrip("0") for name in choice["averaged"])
    return f"{name}: misses at {fa_per_hour:g} FA/h: {misses} (swa of steps {averaged}); kept: {choice['chosen']}"
