"""Export the detector and the gate, and prove that the files compute what the networks do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch

from models.detector import Detector
from models.heads_only import HeadsOnly
from nanowakeword.errors import ModelError
from nanowakeword.evaluation import Recording
from nanowakeword.graph import Graph
from nanowakeword.timing import HOP_SAMPLES
from steps.card import first_card
from steps.int8 import check_int8, quantise_weights
from steps.material import find_material
from steps.onnx_files import export_detector, export_heads, read_card, write_card
from steps.stage import Context

__all__ = ["check_parity", "run"]

_CHECK_HOPS = 60
_CHECK_STREAMS = 2
_INT8_RECORDINGS = 40  # of the phrase at most, and as many others


def run(context: Context) -> None:
    """Export.

    Writes ``NAME.onnx`` (the detector), ``NAME_lite.onnx`` (the gate), ``NAME_head.onnx`` (features in, score out) and
    ``NAME.pt`` (weights and configuration, for ``torch.load(weights_only=True)``); where the settings ask for it,
    ``NAME_int8.onnx``, the detector with its weights in 8 bits.
    """
    settings = context.settings
    name = settings.wakeword.file_name
    saved = torch.load(context.input("finetune") / "detector.pt", weights_only=True)
    gate = torch.load(context.input("distill") / "gate.pt", weights_only=True)
    torch.save(saved, context.out / f"{name}.pt")
    for number, (weights, kind, file) in enumerate(
        [(saved, "detector", f"{name}.onnx"), (gate, "gate", f"{name}_lite.onnx")], start=1
    ):
        detector = Detector.from_saved(weights)
        path = context.out / file
        export_detector(detector, path, state_size=detector.state_size, opset=settings.export.opset)
        write_card(path, first_card(detector, settings, kind=kind, model_name=path.stem))
        check_parity(detector, path, seed=settings.seed, tolerance=settings.export.tolerance)
        if kind == "detector":
            _export_heads(detector, context.out / f"{name}_head.onnx", context)
        context.progress.update(number, 2, unit="models")
    if settings.export.int8:
        _export_int8(context.out / f"{name}.onnx", context.out / f"{name}_int8.onnx", context)


def check_parity(detector: Detector, path: Path, *, seed: int, tolerance: float) -> float:
    """Compare batch, streamed and exported scores on noise of all levels, cut at random.

    Returns:
        The largest difference of scores.

    Raises:
        ModelError: it is larger than the tolerance.
    """
    rng = np.random.default_rng([seed, 99])
    audio = _test_signal(rng)
    zero = torch.zeros(_CHECK_STREAMS, detector.state_size)
    with torch.no_grad():
        whole = detector(torch.from_numpy(audio), zero)[0].numpy()
    graph = Graph.load(path)
    cuts = np.unique(rng.integers(1, _CHECK_HOPS, size=12)) * HOP_SAMPLES
    pieces = np.split(audio, cuts, axis=1)
    answers = {"exported": graph.run(audio, graph.zero_state(_CHECK_STREAMS))[0]}
    state, scores = graph.zero_state(_CHECK_STREAMS), []
    for piece in pieces:
        score, state, _ = graph.run(np.ascontiguousarray(piece), state)
        scores.append(score)
    answers["exported and streamed"] = np.concatenate(scores, axis=1)
    streamed, torch_state = [], zero
    with torch.no_grad():
        for piece in pieces:
            part, torch_state, _ = detector(torch.from_numpy(piece), torch_state)
            streamed.append(part.numpy())
    answers["streamed"] = np.concatenate(streamed, axis=1)
    differences = {name: float(np.abs(answer - whole).max()) for name, answer in answers.items()}
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= tolerance:
        raise ModelError(
            f"{path.name} does not compute what the network does",
            got=f"a difference of {differences[worst]:.2g} between batch and {worst} scores",
            expected=f"at most {tolerance:g}",
            hint="Please report this with your params.yaml",
        )
    return differences[worst]


def _export_heads(detector: Detector, path: Path, context: Context) -> None:
    """Export the heads alone and compare them with the whole detector."""
    settings = context.settings
    heads = HeadsOnly(detector)
    shape = detector.feature_shape
    export_heads(heads, path, feature_shape=shape, state_size=heads.state_size, opset=settings.export.opset)
    write_card(path, first_card(detector, settings, kind="heads", model_name=path.stem, state_size=heads.state_size))
    audio = torch.from_numpy(_test_signal(np.random.default_rng([settings.seed, 98])))
    with torch.no_grad():
        score, _, features = detector(audio, torch.zeros(_CHECK_STREAMS, detector.state_size))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = np.zeros((_CHECK_STREAMS, heads.state_size), np.float32)
    answer = session.run(["score"], {"features": features.numpy(), "state": state})[0]
    difference = float(np.abs(answer - score.numpy()).max())
    if not difference <= settings.export.tolerance:
        raise ModelError(
            f"{path.name} differs from the detector",
            got=f"{difference:.2g}",
            expected=f"at most {settings.export.tolerance:g}",
        )


def _export_int8(original: Path, path: Path, context: Context) -> None:
    """Round the detector's weights and compare the scores of calibration recordings."""
    settings = context.settings
    quantise_weights(original, path)
    card = read_card(original)
    # Its features are nearly those of the others, so nothing may take the one for the other.
    frontends = [{**frontend, "fingerprint": f"{frontend['fingerprint']}-int8"} for frontend in card["frontends"]]
    write_card(path, {**card, "name": path.stem, "frontends": frontends, "weights": "int8; filter banks int16"})
    material = find_material(
        "calibration",
        phrase=settings.wakeword.phrase,
        clips=context.input("synthesize"),
        corpus=context.input("corpus"),
    )
    check_int8(
        path,
        original,
        positives=_spread(material.positives),
        negatives=_spread(material.negatives),
        tolerance=settings.export.int8_tolerance,
    )


def _spread(recordings: list[Recording]) -> list[Recording]:
    """Some of them, from the first to the last."""
    return recordings[:: -(-len(recordings) // _INT8_RECORDINGS)]


def _test_signal(rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Noise from digital silence to full scale, int16 ``[streams, samples]``."""
    n = _CHECK_HOPS * HOP_SAMPLES
    level = np.interp(np.arange(n), np.linspace(0, n, 12), 10 ** rng.uniform(0, 4.3, size=12))
    level[n // 3 : n // 2] = 0.0
    noise = rng.standard_normal((_CHECK_STREAMS, n)) * level
    signal: npt.NDArray[Any] = np.clip(np.rint(noise), -32_768, 32_767).astype(np.int16)
    return signal
