"""Where a model's time goes: operators by type, as onnxruntime itself counts them, and Python above it."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from nanowakeword import Graph, NanoInterpreter
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["print_profile"]

_TOP: Final = 10
_CALLS: Final = 1_000


def print_profile(model: Path, *, seconds: float) -> None:
    """Print the ten most expensive types of operators, and what `NanoInterpreter.predict` takes beyond the graph.

    Args:
        model: a detector or a gate.
        seconds: time to measure ``predict`` and the graph for, in turn.
    """
    calls_us, operators = _profile(model)
    inside_us = sum(microseconds for _, microseconds in operators.values())
    count = sum(number for number, _ in operators.values())
    print(
        f"{model.name}: {count:.0f} operators a call, {inside_us:.0f} us in them of {calls_us:.0f} us with profiling on"
    )
    print(f"{'operator':<28}{'number':>8}{'us':>8}{'share':>8}{'us each':>9}")
    ranked = sorted(operators.items(), key=lambda item: -item[1][1])
    for name, (number, microseconds) in ranked[:_TOP]:
        share = microseconds / inside_us
        print(f"{name:<28}{number:>8.0f}{microseconds:>8.1f}{share:>8.1%}{microseconds / number:>9.2f}")
    rest = sum(microseconds for _, (_, microseconds) in ranked[_TOP:])
    print(f"{'all others':<28}{'':>8}{rest:>8.1f}{rest / inside_us:>8.1%}")

    interpreter, graph = NanoInterpreter.load_model(model), Graph.load(model)
    hop = _noise()[0]
    feed = {"audio": hop[None], "state": graph.zero_state()}
    session = _session(model, profile_prefix=None)
    predict_us, run_us = _in_turn(
        lambda: interpreter.predict(hop),
        lambda: session.run(["score", "next_state", "features"], feed),
        seconds=seconds,
    )
    print(
        f"predict {predict_us:.1f} us, session.run alone {run_us:.1f} us: "
        f"{predict_us - run_us:.1f} us of Python, {(predict_us - run_us) / predict_us:.1%}"
    )


def _profile(model: Path) -> tuple[float, dict[str, tuple[float, float]]]:
    """Microseconds of a call, and by type of operator the number of them and their microseconds in a call."""
    with tempfile.TemporaryDirectory() as folder:
        session = _session(model, profile_prefix=str(Path(folder) / "profile"))
        graph = Graph.load(model)
        state = graph.zero_state()
        noise = _noise()
        for call in range(_CALLS):
            state = session.run(["next_state"], {"audio": noise[call % len(noise)][None], "state": state})[0]
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    calls_us = float(np.median([event["dur"] for event in events if event["name"] == "model_run"]))
    numbers: defaultdict[str, int] = defaultdict(int)
    total_us: defaultdict[str, float] = defaultdict(float)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            numbers[event["args"]["op_name"]] += 1
            total_us[event["args"]["op_name"]] += event["dur"]
    return calls_us, {name: (number / _CALLS, total_us[name] / _CALLS) for name, number in numbers.items()}


def _session(model: Path, *, profile_prefix: str | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _noise() -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    return np.random.default_rng(0).normal(scale=1_000, size=(250, HOP_SAMPLES)).astype(np.int16)


def _in_turn(first: Callable[[], object], second: Callable[[], object], *, seconds: float) -> tuple[float, float]:
    """Median microseconds of two calls made by turns."""
    times_us: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for call, found in zip((first, second), times_us, strict=True):
            started = time.perf_counter()
            call()
            found.append((time.perf_counter() - started) * 1e6)
    return float(np.median(times_us[0])), float(np.median(times_us[1]))
