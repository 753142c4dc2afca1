"""Forms of a model in 8 bits beside float32: size, time of a hop, and how the scores of real recordings change.

    python -m benchmarks.int8 M.onnx MANIFEST.csv --kind keyword:alexa [--recordings 60]

MANIFEST.csv is that of `corpus.real`; recordings of ``--kind`` and as many of speech are streamed through each form.
The static form is calibrated on them, which flatters it. Times are of processor time, median of single hops.
"""

from __future__ import annotations

import argparse
import csv
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import soundfile
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from benchmarks.frontends import session
from benchmarks.program import run
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from steps.int8 import quantise_weights

Samples = npt.NDArray[np.int16]
LONGEST_S: Final = 4
CALIBRATION_HOPS: Final = 2_000
TIMED_HOPS: Final = 300
PIECE_HOPS: Final = 10


def main() -> None:
    """Print a line for each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--kind", required=True, help="of the recordings of the phrase")
    parser.add_argument("--recordings", type=int, default=60, help="of the phrase, and of other speech (60)")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    audio = np.concatenate([read(options.manifest, kind, options.recordings) for kind in (options.kind, "speech")])
    exact = scores(options.model, audio)
    print(f"{'':<26}{'KiB':>8}{'ms':>8}   difference of scores: largest, mean")
    print_form("float32", options.model, audio, exact)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in forms(audio).items():
            path = Path(folder) / "form.onnx"
            make(options.model, path)
            print_form(name, path, audio, exact)


def forms(audio: Samples) -> dict[str, Callable[[Path, Path], object]]:
    """What makes each."""

    def dynamic(source: Path, target: Path) -> None:
        kinds = ["MatMul", "Conv"]
        quantize_dynamic(source, target, op_types_to_quantize=kinds, weight_type=QuantType.QInt8, per_channel=True)

    def static(source: Path, target: Path, *, keep_filter_banks: bool) -> None:
        model = onnx.load(source)
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"node_{number}"
        banks = [node.name for node in model.graph.node if any(".mel." in name for name in node.input)]
        named = target.with_suffix(".named")
        onnx.save(model, named)
        quantize_static(
            named,
            target,
            Streamed(source, audio),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Conv"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=banks if keep_filter_banks else [],
        )

    def blocks(source: Path, target: Path) -> None:
        quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=8, block_size=32, is_symmetric=True)
        quantizer.process()
        quantizer.model.save_model_to_file(str(target))

    return {
        "weights (export.int8)": quantise_weights,
        "dynamic": dynamic,
        "static": lambda source, target: static(source, target, keep_filter_banks=False),
        "static but filter banks": lambda source, target: static(source, target, keep_filter_banks=True),
        "MatMulNBits": blocks,
    }


class Streamed(CalibrationDataReader):  # type: ignore[misc]
    """Hops with the states that a stream brings them."""

    def __init__(self, model: Path, audio: Samples) -> None:
        self._calls = stream(model, audio[: CALIBRATION_HOPS * HOP_SAMPLES], hops=1)

    def get_next(self) -> dict[str, Any] | None:
        """The next hop."""
        return next((feed for feed, _ in self._calls), None)


def stream(
    model: Path, audio: Samples, *, hops: int
) -> Iterator[tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float32]]]:
    """Inputs and scores of each call."""
    graph = session(model)
    state = np.zeros((1, graph.get_inputs()[1].shape[1]), np.float32)
    for start in range(0, len(audio), hops * HOP_SAMPLES):
        feed = {"audio": audio[None, start : start + hops * HOP_SAMPLES], "state": state}
        score, state = graph.run(["score", "next_state"], feed)
        yield feed, score[0]


def scores(model: Path, audio: Samples) -> npt.NDArray[np.float32]:
    """Of every hop."""
    return np.concatenate([score for _, score in stream(model, audio, hops=PIECE_HOPS)])


def print_form(name: str, path: Path, audio: Samples, exact: npt.NDArray[np.float32]) -> None:
    """A line."""
    times, before = [], time.thread_time()
    for _ in stream(path, audio[: TIMED_HOPS * HOP_SAMPLES], hops=1):
        times.append(time.thread_time() - before)
        before = time.thread_time()
    difference = np.abs(scores(path, audio) - exact)
    size, hop_ms = path.stat().st_size / 1024, 1e3 * float(np.median(times))
    print(f"{name:<26}{size:>8.0f}{hop_ms:>8.3f}   {difference.max():.4f}, {difference.mean():.5f}", flush=True)


def read(manifest: Path, kind: str, most: int) -> Samples:
    """Recordings of a kind, spread over the manifest, end to end in whole hops."""
    with manifest.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == kind]
    parts = []
    for row in rows[:: max(1, len(rows) // most)][:most]:
        samples, rate_hz = soundfile.read(manifest.parent / row["path"], dtype="int16", always_2d=True)
        if rate_hz == SAMPLE_RATE_HZ:
            parts.append(samples[: LONGEST_S * SAMPLE_RATE_HZ, 0])
    whole = np.concatenate(parts)
    return whole[: len(whole) // HOP_SAMPLES * HOP_SAMPLES]


if __name__ == "__main__":
    run(main)
