"""What the front ends cost: exported, one hop a call, one thread; beside their floor and their published form.

python -m benchmarks.frontends [--seconds 3]

The floor is the same graph given 64 hops a call: arithmetic without the cost of calls and of small operators. The
published form is what other programs run per 80 ms: for the speech embedding its two graphs on 1,760 samples and on the
last 76 frames, for WakeHuBERT its graph on the 2.5 s that it looks back.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from benchmarks.program import run
from models.frontends.base import FrontEndModule
from models.frontends.logmel_options import LogMelOptions, PcenOptions
from models.frontends.table import FRONT_ENDS, front_end_row
from models.weights import fetch
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from steps.onnx_files import export_front_end

ROWS = {
    **FRONT_ENDS,
    "logmel, normalised": front_end_row("logmel", logmel=LogMelOptions(normalisation_s=1.0)),
    "logmel, pcen": front_end_row("logmel", logmel=LogMelOptions(pcen=PcenOptions())),
}
FLOOR_HOPS = 64
WINDOWS, WINDOW_HOPS = 64, 25


def session(path: Path) -> Any:
    """An onnxruntime session on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def milliseconds(call: Callable[[], object], *, seconds: float) -> tuple[float, float]:
    """Median and least time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * float(np.median(times)), 1e3 * min(times)


def streamed(graph: Any, *, state_size: int, hops: int) -> Callable[[], object]:
    """Calls that carry the state on through noise."""
    audio = np.random.default_rng(0).normal(0, 1000, (1, hops * HOP_SAMPLES)).astype(np.int16)
    feed = {"audio": audio, "state": np.zeros((1, state_size), np.float32)}

    def call() -> None:
        feed["state"] = graph.run(["next_state", "features"], feed)[0]

    return call


def published(name: str) -> Callable[[], object] | None:
    """One hop as the front end's own publisher runs it."""
    noise = np.random.default_rng(0).normal(0, 1000, (1, 40_000)).astype(np.float32)
    if name == "wakehubert":
        graph = session(fetch(name))
        return lambda: graph.run(None, {"waveform": noise / np.float32(32768)})
    if name == "speech_embedding":
        mel, embed = (session(fetch(name) / f"{part}.onnx") for part in ("melspectrogram", "embedding_model"))
        frames = np.zeros((1, 76, 32, 1), np.float32)

        def call() -> None:
            frames[0, -8:, :, 0] = mel.run(None, {"input": noise[:, :1760]})[0][0, 0][-8:] / 10 + 2
            embed.run(None, {"input_1": frames})

        return call
    return None


def main() -> None:
    """Print a row for each front end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each figure")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    print("front end            ms per 80 ms: median (least)   floor    published   torch, 64 windows of 2 s")
    for name, row in ROWS.items():
        front = row.build()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "front.onnx"
            export_front_end(front, path, opset=18)
            graph = session(path)
        median, least = milliseconds(streamed(graph, state_size=front.state_size, hops=1), seconds=seconds)
        _, floor = milliseconds(streamed(graph, state_size=front.state_size, hops=FLOOR_HOPS), seconds=seconds)
        peer = published(name)
        other = f"{milliseconds(peer, seconds=seconds)[0]:9.3f}" if peer else "        -"
        windows = 1000 * torch.randn(WINDOWS, WINDOW_HOPS * HOP_SAMPLES)
        state = torch.zeros(WINDOWS, front.state_size)

        def extract(front: FrontEndModule = front, windows: Tensor = windows, state: Tensor = state) -> object:
            with torch.no_grad():
                return front(windows, state)

        batch, _ = milliseconds(extract, seconds=seconds)
        speed = WINDOWS * WINDOW_HOPS * HOP_S / batch * 1e3
        print(f"{name:20s} {median:18.3f} ({least:.3f}) {floor / FLOOR_HOPS:12.3f} {other}   {speed:6.0f} x real time")


if __name__ == "__main__":
    run(main)
