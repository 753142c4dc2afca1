"""How many real-time streams one core of the server holds, and whether it holds them for an hour.

The server is `python -m serving`, a process of its own pinned to one core; the clients run here, pinned to another:
microphones (`benchmarks/microphones.py`), each with a connection of its own, that send 80 ms every 80 ms and want the
score of each. A row is added latency, processor time per stream and second, and memory per stream, at the number of
streams that the model should hold on a core: 600 a gate, 250 a detector with one front end, 150 with several. In the
same run stand a floor, which is a server that parses each message and answers with a score and does nothing else, and
NanoWakeword's server, where it can be installed. `--find` searches the largest number of streams whose 99th percentile
is below 80 ms, too.

    W=workspaces/alexa/output
    # the whole table: about 5 minutes, and half an hour more with --find
    python -m benchmarks.server $W/alexa_lite.onnx EMBEDDING.onnx $W/alexa.onnx --peer --find --json server.json
    # one hour at 80 % of the streams that were found, with clients that come and go
    python -m benchmarks.server $W/alexa.onnx --soak 60 --capacity 150 --recordings FOLDER --json s.json --plot s.png

EMBEDDING.onnx is a detector with the speech embedding alone: train one with `frontends: [speech_embedding]` under
`features` in params.yaml, the rest as it is. All of this wants an idle machine with two cores or more.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import peer_server
from benchmarks.microphones import Line, Load, load, open_detect
from benchmarks.program import run
from benchmarks.served import Served, serve_floor, serve_models
from benchmarks.soak import plot, soak
from nanowakeword.errors import NanoWakewordError
from nanowakeword.graph import Graph
from nanowakeword.timing import HOP_SAMPLES
from nanowakeword.v1 import wakeword_pb2 as pb

LIMIT_MS: Final = 80.0
GATE, ONE_FRONT_END, FUSED, PEER = 600, 250, 150, 27
# What the search tries: the bar, then a quarter more or less each time, then between the last two.
STEP: Final = 1.25
NEAR: Final = 0.03


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        name: of the server or of its model.
        batch: most streams in one run of the model.
        streams: how many it should hold.
        serve: starts it.
        open_line: opens a stream.
        chunks: what a stream sends.
    """

    name: str
    batch: int
    streams: int
    serve: Callable[[], AbstractContextManager[Served]]
    open_line: Callable[[int], Awaitable[Line]]
    chunks: Sequence[bytes]


COLUMNS: Final[dict[str, Callable[[Plan, Load], str]]] = {
    "server": lambda plan, _: plan.name,
    "batch": lambda plan, _: str(plan.batch),
    "streams": lambda _, row: str(row.streams),
    "p50 ms": lambda _, row: f"{row.p50_ms:.1f}",
    "p95 ms": lambda _, row: f"{row.p95_ms:.1f}",
    "p99 ms": lambda _, row: f"{row.p99_ms:.1f}",
    "answered": lambda _, row: f"{row.answered:.1%}",
    "holds": lambda _, row: "yes" if holds(row) else "no",
    "CPU ms/s/stream": lambda _, row: f"{1e3 * row.cpu_per_stream:.2f}",
    "KiB/stream": lambda _, row: f"{row.memory_per_stream_kib:.0f}",
    "clients' CPU": lambda _, row: f"{row.client_cpu:.0%}",
    "late ms": lambda _, row: f"{row.client_late_ms:.1f}",
}


def holds(row: Load) -> bool:
    """Whether every stream was judged in time."""
    return row.p99_ms < LIMIT_MS and row.answered > 0.999


def plans_of(models: Sequence[Path], *, batches: Sequence[int], peer: bool) -> list[Plan]:
    """The floor, each model with each size of batch, and the peer."""
    hops = np.random.default_rng(0).normal(0.0, 1_000.0, (25, HOP_SAMPLES)).astype("<i2")
    chunks = [pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=hop.tobytes())).SerializeToString() for hop in hops]
    floor = Plan(name="floor", batch=1, streams=GATE, serve=serve_floor, open_line=open_detect, chunks=chunks)
    plans = [floor]
    for model in models:
        streams = streams_wanted(model)
        for batch in batches:
            serve = partial(serve_models, [model], max_batch=batch)
            plans.append(replace(floor, name=model.stem, batch=batch, streams=streams, serve=serve))
    if peer:
        plans.append(
            Plan(
                name=peer_server.NAME,
                batch=1,
                streams=PEER,
                serve=peer_server.serve_peer,
                open_line=peer_server.open_peer,
                chunks=peer_server.peer_chunks(hops),
            )
        )
    return plans


def streams_wanted(model: Path) -> int:
    """How many streams of a model a core should hold."""
    card = Graph.load(model).card
    if card.kind == "gate":
        return GATE
    return FUSED if len(card.content["frontends"]) > 1 else ONE_FRONT_END


def measure(plan: Plan, *, streams: int, seconds: float) -> Load | None:
    """Start a server, load it, stop it, and print the row; None where a stream could not be opened."""
    try:
        with plan.serve() as served:
            row = asyncio.run(
                load(served, open_line=plan.open_line, chunks=plan.chunks, streams=streams, seconds=seconds)
            )
    except TimeoutError:
        print(f"| {plan.name} | {plan.batch} | {streams} | it does not answer " + "| " * 9 + "|", flush=True)
        return None
    print("| " + " | ".join(write(plan, row) for write in COLUMNS.values()) + " |", flush=True)
    return row


def find(plan: Plan, *, first: Load | None, seconds: float) -> list[Load]:
    """Search the largest number of streams that a server holds; all that was tried, and found is what holds most.

    Args:
        plan: the server.
        first: what it did at the number of streams that it should hold.
        seconds: length of each try.
    """
    rows: list[Load] = []

    def try_out(streams: int) -> bool:
        row = measure(plan, streams=streams, seconds=seconds)
        if row is not None:
            rows.append(row)
        return row is not None and holds(row)

    low = high = plan.streams
    if first is not None and holds(first):
        while try_out(high := round(high * STEP)):
            low = high
    else:
        while low > 1 and not try_out(low := int(low / STEP)):
            high = low
    while high - low > max(1, NEAR * low):
        middle = (low + high) // 2
        low, high = (middle, high) if try_out(middle) else (low, middle)
    return rows


def compare(plans: Sequence[Plan], *, streams: Sequence[int], seconds: float, search: bool) -> list[dict[str, Any]]:
    """Measure all plans, and print them as a table."""
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|", flush=True)
    facts: list[dict[str, Any]] = []
    found: list[str] = []
    for plan in plans:
        try:
            rows = [measure(plan, streams=count, seconds=seconds) for count in streams or [plan.streams]]
            kept = [row for row in rows if row is not None]
            if search:
                kept += find(plan, first=rows[-1] if not streams else None, seconds=seconds)
                most = max((row.streams for row in kept if holds(row)), default=0)
                found.append(f"{plan.name}, batches of at most {plan.batch}: {most} streams")
        except (OSError, NanoWakewordError) as error:
            print(f"| {plan.name} is not measured: {error} " + "| " * len(COLUMNS), flush=True)
            continue
        facts += [{"name": plan.name, "batch": plan.batch, "holds": holds(row), **asdict(row)} for row in kept]
    print("\n" + "\n".join(found))
    return facts


def main() -> None:
    """Run what is asked for, print it, write the files."""
    gc.disable()  # the clients' own pauses are not the server's
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="M.onnx")
    parser.add_argument(
        "--streams", type=int, nargs="+", default=[], metavar="N", help="instead of what each should hold"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement (20)")
    parser.add_argument("--find", action="store_true", help="search the largest number of streams, too")
    parser.add_argument("--max-batch", type=int, nargs="+", default=[1, 32], metavar="B", help="1: no batching (1 32)")
    parser.add_argument("--peer", action="store_true", help="NanoWakeword's server, too, installed beside")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="load the first model for so long instead")
    parser.add_argument("--capacity", type=int, default=100, help="of the soak: streams that the core holds (100)")
    parser.add_argument("--share", type=float, default=0.8, help="of the soak: share of them (0.8)")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="of the soak: real audio (noise)")
    parser.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="of the soak: draw memory over time")
    options = parser.parse_args()
    facts: Any
    if options.soak is None:
        plans = plans_of(options.models, batches=options.max_batch, peer=options.peer)
        facts = compare(plans, streams=options.streams, seconds=options.seconds, search=options.find)
    else:
        with serve_models(options.models[:1], max_batch=max(options.max_batch)) as served:
            result = asyncio.run(
                soak(
                    served,
                    model=options.models[0],
                    streams=round(options.share * options.capacity),
                    minutes=options.soak,
                    recordings=options.recordings,
                )
            )
        print(result)
        facts = asdict(result)
        if options.plot is not None:
            plot(result, options.plot)
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
