"""The model card: what a model is, what it was made from, how good it was found to be.

It travels inside the ONNX file as JSON and is read by `nanowakeword.card`, which documents every field.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from torch import nn

from models.detector import Detector
from nanowakeword.timing import HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.version import __version__
from steps.settings import Settings

__all__ = ["first_card", "git_commit"]

SCHEMA_VERSION: Final = 1
_PACKAGES: Final = ("numpy", "onnx", "onnxruntime", "torch")


def first_card(
    detector: Detector, settings: Settings, *, kind: str, model_name: str, state_size: int | None = None
) -> dict[str, Any]:
    """The card of a model that is not measured yet: its threshold is one half until `publish` writes the real ones.

    Args:
        detector: the network.
        settings: of this run.
        kind: ``detector``, ``gate`` or ``heads``.
        model_name: name of the file without its ending.
        state_size: floats of the file's state, if it is not the whole detector's.
    """
    heads = list(detector.heads.parameters())
    return {
        "schema_version": SCHEMA_VERSION,
        "phrase": settings.wakeword.phrase,
        "name": model_name,
        "language": settings.wakeword.language,
        "kind": kind,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "hop_samples": HOP_SAMPLES,
        "receptive_field_samples": detector.receptive_field_samples,
        "state_size": detector.state_size if state_size is None else state_size,
        "frontends": [
            {
                "name": row.name,
                "n_features": row.n_features,
                "frames_per_hop": row.frames_per_hop,
                "licence": row.licence,
                "source": row.source,
                **(
                    {"finetuned": True, "fingerprint": _hash(row.fingerprint.encode(), frontend)}
                    if row.name in detector.config.tuned
                    else {"fingerprint": row.fingerprint}
                ),
                **({} if row.logmel is None else {"options": asdict(row.logmel)}),
            }
            for row, frontend in zip(detector.config.rows, detector.frontends, strict=True)
        ],
        "fusion": {
            "kind": detector.config.fusion,
            "heads": [
                {
                    "frontends": list(frontends),
                    "weight": round(float(weight), 4),
                    "architecture": network.architecture,
                    "layer_size": network.layer_size,
                    "n_blocks": network.n_blocks,
                }
                for frontends, weight, network in zip(
                    detector.config.inputs, detector.weights, detector.config.networks, strict=True
                )
            ],
        },
        "architecture": {
            # Of the first head; where heads differ, see ``fusion``.
            "name": " + ".join(dict.fromkeys(network.architecture for network in detector.config.networks)),
            "layer_size": detector.config.networks[0].layer_size,
            "n_blocks": detector.config.networks[0].n_blocks,
            "members": detector.config.members,
            "n_parameters": sum(parameter.numel() for parameter in heads),
            # The detector's file and its head's have the same: they belong together.
            "fingerprint": _hash(
                detector.calibration.numpy().tobytes() + detector.weights.numpy().tobytes(), detector.heads
            ),
        },
        "threshold": 0.5,
        # A little longer than one utterance stays in the window, or it would be heard twice.
        "refractory_s": round(detector.window_s + 4 * HOP_S, 2),
        "thresholds": [],
        "metrics": {},
        "seed": settings.seed,
        "versions": {"nanowakeword": __version__, **{package: version(package) for package in _PACKAGES}},
    }


def _hash(facts: bytes, network: nn.Module) -> str:
    """Hash of a network's weights, and of what else decides what it computes."""
    digest = hashlib.sha256(facts)
    for name, weights in sorted(network.state_dict().items()):
        digest.update(name.encode() + weights.numpy().tobytes())
    return digest.hexdigest()[:16]


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that a folder is in, with ``-dirty`` if files differ from it; None outside of one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
