"""What listening costs: our gate and verifiers beside other systems, in one run on one thread each.

    python -m benchmarks.runtime [--workspace workspaces/NAME] [--rounds 7] [--seconds 2] [--json F] [--plot F.png]
    python -m benchmarks.runtime --profile M.onnx

In every round each contender is measured once, in a process of its own and in an order that moves on, so that all see
the same machine; the table has medians over the rounds, and medians of each round's ratio to our fused verifier. Our
models are those of a workspace, or untrained ones of the default settings, which cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.operators import print_profile
from benchmarks.peers import PEERS, peer_command, prepare_peers
from benchmarks.program import run
from models.detector import Detector, DetectorConfig
from nanowakeword.commands.bench import Cost
from steps.card import first_card
from steps.onnx_files import export_detector, write_card
from steps.settings import Settings, load_settings
from steps.verifier import verifier_config

CHECKOUT: Final = Path(__file__).parents[1]
GATE, EMBEDDING, FUSED = "our gate", "our verifier, embedding alone", "our verifier, fused"
EMBEDDING_FRONT_END: Final = "speech_embedding"
WIDTH: Final = 32
# Windows of each pool that the defaults make: what is automatic follows from them.
USUAL_ROWS: Final = {"positive": 3_300, "partial": 900, "speech": 9_000, "noise": 1_200, "neighbour": 0}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A contender's line of the table: medians over the rounds, and the span of its times."""

    name: str
    ms: float
    least_ms: float
    most_ms: float
    p99_ms: float
    ratio: float
    floor_ms: float
    reset_ms: float
    load_ms: float
    import_ms: float
    memory_mib: float
    cores: float


def make_models(folder: Path, workspace: Path | None) -> dict[str, Path]:
    """Export the gate, the verifier with the speech embedding alone and the fused one; paths by name."""
    settings = load_settings((workspace or CHECKOUT) / "params.yaml")
    if workspace is not None:
        artifacts = workspace / "artifacts"
        fused = torch.load(artifacts / "average" / "detector.pt", weights_only=True)
        gate = torch.load(artifacts / "distill" / "gate.pt", weights_only=True)
    else:
        fused, gate = untrained(settings)
    paths = {}
    for name, saved, file in (
        (GATE, gate, "gate"),
        (EMBEDDING, without_fusion(fused), "embedding"),
        (FUSED, fused, "fused"),
    ):
        detector = Detector.from_saved(saved)
        paths[name] = folder / f"{file}.onnx"
        export_detector(detector, paths[name], state_size=detector.state_size, opset=settings.export.opset)
        kind = "gate" if name == GATE else "detector"
        write_card(paths[name], first_card(detector, settings, kind=kind, model_name=file))
    return paths


def untrained(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Verifier and gate of the settings, with random weights."""
    torch.manual_seed(settings.seed)
    gate = DetectorConfig(
        frontends=(settings.features.gate_frontend,),
        networks=(settings.distill.network,),
        members=1,
        logmel=settings.features.logmel.options,
    )
    return Detector(verifier_config(settings, USUAL_ROWS)[0]).save_state(), Detector(gate).save_state()


def without_fusion(saved: Mapping[str, Any]) -> dict[str, Any]:
    """A fused verifier's part that uses the speech embedding."""
    index = list(saved["config"]["frontends"]).index(EMBEDDING_FRONT_END)
    networks = (saved["config"]["networks"][index],)
    config = {**saved["config"], "frontends": (EMBEDDING_FRONT_END,), "networks": networks, "fusion": "average"}
    prefix = f"heads.{index}."
    weights = {
        key.replace(prefix, "heads.0."): value
        for key, value in saved["state_dict"].items()
        if key.startswith(prefix) or not key.startswith("heads.")
    }
    weights["weights"] = torch.ones(1)
    return {"config": config, "state_dict": weights}


def measure_round(commands: Mapping[str, Sequence[str]], *, first: int) -> dict[str, Cost]:
    """Measure each contender once, beginning with the one of that number; one that fails is named and left out."""
    names = list(commands)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    costs = {}
    for name in names[first % len(names) :] + names[: first % len(names)]:
        done = subprocess.run(commands[name], env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            fields = json.loads(done.stdout)
            fields.pop("model", None)
            costs[name] = Cost(**fields)
        elif first == 0:
            print(f"{name} does not run here: {(done.stderr.strip().splitlines() or ['no reason told'])[-1]}")
    return costs


def summarise(name: str, rounds: Sequence[Mapping[str, Cost]]) -> Row:
    """A contender's line."""
    costs = [costs[name] for costs in rounds if name in costs]

    def median(field: str) -> float:
        values = [getattr(cost, field) for cost in costs]
        return float("nan") if None in values else float(np.median(values))

    times = [cost.median_ms for cost in costs]
    ratios = [costs[name].median_ms / costs[FUSED].median_ms for costs in rounds if name in costs]
    return Row(
        name=name,
        ms=float(np.median(times)),
        least_ms=min(times),
        most_ms=max(times),
        p99_ms=median("p99_ms"),
        ratio=float(np.median(ratios)),
        floor_ms=median("floor_ms"),
        reset_ms=median("reset_ms"),
        load_ms=median("load_ms"),
        import_ms=median("import_ms"),
        memory_mib=median("memory_mib"),
        cores=median("core_share"),
    )


def print_table(rows: Sequence[Row]) -> None:
    """Print the lines."""
    titles = ("ms", "least-most", "p99", "ratio", "reset", "load", "import", "MiB", "cores")
    print(f"{'ms per 80 ms of audio':<{WIDTH}}" + "".join(f"{title:>{13 if '-' in title else 8}}" for title in titles))
    for row in rows:
        span = f"{row.least_ms:.3f}-{row.most_ms:.3f}"
        print(
            f"{row.name:<{WIDTH}}{row.ms:>8.3f}{span:>13}{row.p99_ms:>8.3f}{row.ratio:>8.2f}{row.reset_ms:>8.3f}"
            f"{row.load_ms:>8.0f}{row.import_ms:>8.0f}{row.memory_mib:>8.0f}{row.cores:>8.2f}"
        )
    floor_ms = float(np.median([row.floor_ms for row in rows]))
    print(f"{'floor: a graph that returns its input':<{WIDTH}} {floor_ms:.4f}")
    print("ratio: to our fused verifier in the same round. MiB: above numpy. cores: processor time over time passed.")


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the times as bars."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    ours = [row.name.startswith("our ") for row in rows]
    bars = axes.barh(
        [row.name for row in rows],
        [row.ms for row in rows],
        color=["tab:blue" if mine else "tab:gray" for mine in ours],
    )
    axes.bar_label(bars, [f"{row.ms:.3f} ms, {row.memory_mib:.0f} MiB" for row in rows], padding=4)
    axes.set_xlim(0, 1.3 * max(row.ms for row in rows))
    axes.set_xlabel("ms per 80 ms of audio on one thread; memory above numpy")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run the rounds, print the table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, help="folder with trained models (untrained ones)")
    parser.add_argument("--rounds", type=int, default=7, help="times that each contender is measured (7)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement (2)")
    parser.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the times")
    parser.add_argument("--profile", type=Path, metavar="M.onnx", help="say where one model's time goes, and stop")
    options = parser.parse_args()
    if options.profile is not None:
        print_profile(options.profile, seconds=options.seconds)
        return
    python, graphs = prepare_peers()
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-m", "nanowakeword", "bench", "--json", "--seconds", str(options.seconds)]
        commands = {name: [*ours, str(path)] for name, path in make_models(Path(folder), options.workspace).items()}
        for peer, name in PEERS.items():
            commands[name] = peer_command(peer, python, graphs, seconds=options.seconds)
        rounds = [measure_round(commands, first=number) for number in range(options.rounds)]
    rows = [summarise(name, rounds) for name in commands if any(name in costs for costs in rounds)]
    print_table(rows)
    if options.json_file is not None:
        facts = {
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "rows": [asdict(row) for row in rows],
            "rounds": [{name: asdict(cost) for name, cost in costs.items()} for costs in rounds],
        }
        options.json_file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if options.plot is not None:
        plot(rows, options.plot)


if __name__ == "__main__":
    run(main)
