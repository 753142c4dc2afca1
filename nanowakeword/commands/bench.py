"""``nanowakeword bench M.onnx...``: what models cost on this machine.

A model is measured in a process of its own, so that its memory is its own. Each call of the model is followed by a call
of the floor, a graph that only returns its input: both see the same machine, and what the floor takes no model can do
without. How much of a processor core the process got tells how far the times are to be trusted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_S, HOP_SAMPLES

__all__ = ["Cost", "Listener", "add_arguments", "format_table", "measure", "resident_mib", "run"]

_AUDIO_HOPS: Final = 250  # 20 s of noise, heard again and again
_SETTLING_HOPS: Final = 50
_RESETS: Final = 200
_MAX_S: Final = 3_600.0
_BUSY: Final = 0.95  # with less of a core than this, others were at work
_EXAMPLES: Final = """\
examples:
  nanowakeword bench hey_nano.onnx                       time, load and memory of a model
  nanowakeword bench hey_nano.onnx hey_nano_lite.onnx    of two, one after the other
  nanowakeword bench --seconds 60 --json hey_nano.onnx   measured for a minute, as JSON
"""


class Listener(NamedTuple):
    """Something loaded that listens to audio.

    Attributes:
        hear: takes the next 80 ms, int16 ``[1280]``.
        reset: begins a new stream; None where there is no such thing.
    """

    hear: Callable[[Samples], object]
    reset: Callable[[], object] | None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a listener costs.

    Attributes:
        hops: pieces of 80 ms that were measured.
        median_ms: time of one of them.
        p95_ms: time that 95 of 100 stay within.
        p99_ms: time that 99 of 100 stay within.
        real_time_factor: mean time of a piece over its length: the share of one core that listening takes.
        floor_ms: median time of a graph that computes nothing, called in turn.
        core_share: processor time over time passed while measuring: below 1 where others kept the core busy, above 1
            where several threads were at work.
        load_ms: time to load, packages imported already.
        import_ms: time to import them.
        reset_ms: median time of a reset; None where there is none.
        memory_mib: growth of the process since before the import; None where the system does not tell.
    """

    hops: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    real_time_factor: float
    floor_ms: float
    core_share: float
    load_ms: float
    import_ms: float
    reset_ms: float | None
    memory_mib: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Print what models cost on this machine, one thread each: milliseconds per 80 ms of audio, the share of a\n"
        "core that is, the time of an onnxruntime call that computes nothing (the floor, measured in turn), of reset,\n"
        "load and import, and memory beyond numpy. Times mean little while others keep the machine busy; that is told."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("models", metavar="M.onnx", type=Path, nargs="+", help="model file")
    parser.add_argument("--seconds", metavar="S", type=float, default=5.0, help="time to measure a model for (5)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object per model and line")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    if not 0.0 < options.seconds <= _MAX_S:
        raise ConfigError("--seconds", got=f"{options.seconds:g}", expected=f"above 0 and at most {_MAX_S:g}")
    costs: list[tuple[str, Cost]] = []
    for model in options.models:
        if len(options.models) == 1:
            cost = _measure_model(model, seconds=options.seconds)
        else:
            child = [sys.executable, "-m", "nanowakeword", "bench", "--json", "--seconds", str(options.seconds)]
            done = subprocess.run([*child, "--", str(model)], stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                return done.returncode  # it has said why
            cost = Cost(**{key: value for key, value in json.loads(done.stdout).items() if key != "model"})
        if options.as_json:
            print(json.dumps({"model": str(model), **asdict(cost)}, ensure_ascii=False), flush=True)
        costs.append((model.name, cost))
    if not options.as_json:
        print(format_table(costs))
        if (share := min(cost.core_share for _, cost in costs)) < _BUSY:
            print(f"The machine was busy: {share:.0%} of a core was left. Compare times with the floor's.")
    return 0


def measure(importing: Callable[[], object], load: Callable[[], Listener], *, seconds: float) -> Cost:
    """Measure a listener on noise, hop by hop; in a fresh process, in which numpy is loaded and little else.

    Args:
        importing: imports its packages.
        load: loads it.
        seconds: time to measure for; one second of audio is measured at least.
    """
    audio = np.random.default_rng(0).normal(scale=1_000, size=(_AUDIO_HOPS, HOP_SAMPLES)).astype(np.int16)
    before_mib = resident_mib()
    import_ms = _milliseconds(importing)
    started = time.perf_counter()
    listener = load()
    load_ms = (time.perf_counter() - started) * 1e3
    for hop in audio[:_SETTLING_HOPS]:
        listener.hear(hop)
    after_mib = resident_mib()

    floor = _open_floor()
    heard_ms: list[float] = []
    floor_ms: list[float] = []
    cpu_s, started = time.process_time(), time.perf_counter()
    while time.perf_counter() - started < seconds or len(heard_ms) * HOP_S < 1.0:
        hop = audio[len(heard_ms) % _AUDIO_HOPS]
        heard_ms.append(_milliseconds(listener.hear, hop))
        floor_ms.append(_milliseconds(floor, hop))
    core_share = (time.process_time() - cpu_s) / (time.perf_counter() - started)
    median_ms, p95_ms, p99_ms = (float(value) for value in np.percentile(heard_ms, [50, 95, 99]))
    reset = listener.reset
    return Cost(
        hops=len(heard_ms),
        median_ms=median_ms,
        p95_ms=p95_ms,
        p99_ms=p99_ms,
        real_time_factor=float(np.mean(heard_ms)) / 1e3 / HOP_S,
        floor_ms=float(np.median(floor_ms)),
        core_share=core_share,
        load_ms=load_ms,
        import_ms=import_ms,
        reset_ms=None if reset is None else float(np.median([_milliseconds(reset) for _ in range(_RESETS)])),
        memory_mib=None if before_mib is None or after_mib is None else after_mib - before_mib,
    )


def resident_mib() -> float | None:
    """Memory that this process holds now; None where the system does not tell it as Linux does."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return float(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def format_table(rows: Sequence[tuple[str, Cost]]) -> str:
    """A line for each name and cost, below a line of titles."""
    width = max(len("ms per 80 ms of audio"), *(len(name) for name, _ in rows))
    titles = ("median", "p95", "p99", "of core", "floor", "reset", "load", "import", "MiB")
    lines = [f"{'ms per 80 ms of audio':<{width}}" + "".join(f"{title:>8}" for title in titles)]
    for name, cost in rows:
        reset = "-" if cost.reset_ms is None else f"{cost.reset_ms:.3f}"
        memory = "-" if cost.memory_mib is None else f"{cost.memory_mib:.0f}"
        lines.append(
            f"{name:<{width}}{cost.median_ms:>8.3f}{cost.p95_ms:>8.3f}{cost.p99_ms:>8.3f}{cost.real_time_factor:>8.2%}"
            f"{cost.floor_ms:>8.3f}{reset:>8}{cost.load_ms:>8.0f}{cost.import_ms:>8.0f}{memory:>8}"
        )
    return "\n".join(lines)


def _measure_model(model: Path, *, seconds: float) -> Cost:
    def importing() -> None:
        import nanowakeword.interpreter  # noqa: F401

    def load() -> Listener:
        from nanowakeword.interpreter import NanoInterpreter

        interpreter = NanoInterpreter.load_model(model)
        return Listener(interpreter.predict, interpreter.reset)

    return measure(importing, load, seconds=seconds)


def _milliseconds(action: Callable[..., object], *arguments: Any) -> float:
    """Time of one call."""
    started = time.perf_counter()
    action(*arguments)
    return (time.perf_counter() - started) * 1e3


def _open_floor() -> Callable[[Samples], object]:
    """A call through onnxruntime that returns its input."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_identity_graph(), options, providers=["CPUExecutionProvider"])
    return lambda hop: session.run(["y"], {"x": hop})


def _identity_graph() -> bytes:
    """An ONNX file with the one operator Identity, int16 ``[n]``; the numbers are those of fields in onnx.proto."""
    int16 = _message(1, _message(1, 5) + _message(2, _message(1, _message(2, b"n"))))
    node = _message(1, b"x") + _message(2, b"y") + _message(4, b"Identity")
    ports = [_message(1, name) + _message(2, int16) for name in (b"x", b"y")]
    graph = _message(1, node) + _message(2, b"floor") + _message(11, ports[0]) + _message(12, ports[1])
    return _message(1, 8) + _message(7, graph) + _message(8, _message(2, 17))


def _message(field: int, content: int | bytes) -> bytes:
    """A field of a protobuf message; numbers and lengths below 128 take one byte."""
    if isinstance(content, int):
        return bytes([field << 3, content])
    return bytes([field << 3 | 2, len(content)]) + content
