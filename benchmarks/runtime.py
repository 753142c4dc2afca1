"""What a model costs to run: time per 80 ms on one thread, load, reset, memory; beside a call that computes nothing.

python benchmarks/runtime.py M.onnx...

Each model runs in a process of its own. The floor is an Identity graph called through onnxruntime in turn with the
model, so that both see the same machine. Memory is what the process holds above what numpy alone takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

HOPS = 1_500  # two minutes
SETTLING_HOPS = 50


def resident_mib() -> float:
    """Memory of this process, from Linux."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def milliseconds(action: Callable[[], object]) -> float:
    """Time of one call."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1e3


def measure(model: str, floor: str) -> dict[str, float]:
    """Figures of one model, in a fresh process."""
    rng = np.random.default_rng(0)
    audio = rng.normal(scale=1_000, size=(SETTLING_HOPS + HOPS, 1_280)).astype(np.int16)
    before_mib = resident_mib()

    import_ms = milliseconds(lambda: __import__("nanowakeword.interpreter"))
    from nanowakeword import NanoInterpreter

    started = time.perf_counter()
    interpreter = NanoInterpreter.load_model(model)
    load_ms = (time.perf_counter() - started) * 1e3
    for hop in audio[:SETTLING_HOPS]:
        interpreter.predict(hop)
    memory_mib = resident_mib() - before_mib

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(floor, options, providers=["CPUExecutionProvider"])
    model_ms, floor_ms = [], []
    for hop in audio[SETTLING_HOPS:]:
        model_ms.append(milliseconds(lambda hop=hop: interpreter.predict(hop)))  # type: ignore[misc]
        floor_ms.append(milliseconds(lambda hop=hop: session.run(["y"], {"x": hop[None]})))  # type: ignore[misc]
    return {
        "median_ms": float(np.median(model_ms)),
        "p95_ms": float(np.percentile(model_ms, 95)),
        "floor_ms": float(np.median(floor_ms)),
        "reset_ms": float(np.median([milliseconds(interpreter.reset) for _ in range(200)])),
        "load_ms": load_ms,
        "import_ms": import_ms,
        "memory_mib": memory_mib,
    }


def write_floor(path: Path) -> None:
    """An ONNX file that returns its input."""
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(name, TensorProto.INT16, [1, 1_280]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "floor", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def main() -> None:
    """Measure each model and print a table."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--one"]:
        print(json.dumps(measure(*arguments[1:])))
        return
    if not arguments:
        sys.exit("usage: python benchmarks/runtime.py M.onnx...")
    print("ms per 80 ms of audio, one thread; memory above numpy")
    print(f"{'model':<28}{'median':>8}{'p95':>8}{'floor':>8}{'reset':>8}{'load':>8}{'import':>8}{'MiB':>7}")
    with tempfile.TemporaryDirectory() as folder:
        floor = Path(folder) / "floor.onnx"
        write_floor(floor)
        for model in arguments:
            child = [sys.executable, __file__, "--one", model, str(floor)]
            figures = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
            print(
                f"{Path(model).name:<28}{figures['median_ms']:>8.3f}{figures['p95_ms']:>8.3f}{figures['floor_ms']:>8.3f}"
                f"{figures['reset_ms']:>8.3f}{figures['load_ms']:>8.0f}{figures['import_ms']:>8.0f}"
                f"{figures['memory_mib']:>7.0f}"
            )


if __name__ == "__main__":
    main()
