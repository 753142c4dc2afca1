"""Every architecture on every front end: size, cost, speed of training, and misses on real recordings.

    python -m benchmarks.architectures WORKSPACE OUT                            # all of them, size small, one member
    python -m benchmarks.architectures WORKSPACE OUT --only gru tcn --frontends logmel --steps 1200
    python -m benchmarks.architectures WORKSPACE OUT --show                     # the table of what is done

WORKSPACE has the stages up to features done, with real recordings; its features are used as they are. OUT keeps what
was found: a run that was stopped goes on. All networks train on the same windows with the workspace's settings, so with
one budget of steps; only the architecture differs, none is tuned. Each is exported and proven equal to its network,
whole and streamed, before it is timed on one thread: median and least time of the whole graph on one hop.

Misses are those at the threshold that the budget asks for on the same split's recordings without the phrase, in
brackets exact limits, confidence 95 %. Steps a second are those of forward, backward and optimiser on one batch, on one
thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import nn

from benchmarks.frontends import milliseconds, session, streamed
from benchmarks.heard import hear
from benchmarks.leave_one_out import PEOPLE, measure
from benchmarks.variants import prepare_variant, save_result, train_heads
from models.catalogue import count_parameters, macs_per_second
from models.detector import Detector
from models.frontends.table import FRONT_ENDS
from models.streaming import Head
from models.table import ARCHITECTURES
from nanowakeword.errors import ConfigError
from nanowakeword.evaluation.limits import share
from steps.card import first_card
from steps.export import check_parity
from steps.onnx_files import export_detector, write_card
from steps.settings import Settings, load_settings

SPLIT: Final = "test"


def main() -> None:
    """Make what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", metavar="ARCHITECTURE", choices=list(ARCHITECTURES))
    parser.add_argument("--frontends", nargs="+", metavar="NAME", choices=list(FRONT_ENDS))
    parser.add_argument("--size", choices=("tiny", "small", "medium"), default="small")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--steps", type=int, help="default: the workspace's")
    parser.add_argument("--seconds", type=float, default=2.0, help="to time each graph and each network's training for")
    parser.add_argument("--show", action="store_true", help="only print the table")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    experiment = Experiment(
        workspace=options.workspace,
        out=options.out,
        size=options.size,
        members=options.members,
        steps=options.steps or load_settings(options.workspace / "params.yaml").train.steps,
        seconds=options.seconds,
    )
    architectures = options.only or list(ARCHITECTURES)
    frontends = options.frontends or list(FRONT_ENDS)
    if not options.show:
        for frontend in frontends:
            for architecture in architectures:
                experiment.run(frontend, architecture)
    print_table(experiment, frontends, architectures)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One budget for all.

    Attributes:
        workspace: whose features and recordings are used.
        out: folder of all results.
        size: of the networks.
        members: of each head.
        steps: of training.
        seconds: to time for.
    """

    workspace: Path
    out: Path
    size: str
    members: int
    steps: int
    seconds: float

    def folder(self, frontend: str, architecture: str) -> Path:
        """Of one network; other budgets lie beside."""
        return self.out / f"{self.size}-{self.members}-{self.steps}" / frontend / architecture

    def run(self, frontend: str, architecture: str) -> None:
        """Train, measure and time one, unless its result is there."""
        root = self.folder(frontend, architecture)
        if (root / "result.json").is_file():
            return
        print(f"{architecture} on {frontend}", flush=True)
        settings = prepare_variant(root, workspace=self.workspace, over=self._over(frontend, architecture))
        features = self.workspace / "artifacts" / "features"
        if not (features / "features.zarr" / "train" / frontend).is_dir():
            raise ConfigError(f"{features} has no features of {frontend}", hint="Choose other --frontends")
        link = root / "artifacts" / "features"
        if not link.is_symlink():
            link.symlink_to(features.resolve(), target_is_directory=True)
        detector = train_heads(root)
        heard = self.out / "heard" / frontend
        stages = self.workspace / "artifacts"
        heard.parent.mkdir(parents=True, exist_ok=True)
        hear(heard, settings=settings, clips=stages / "synthesize", corpus=stages / "corpus")
        head = cast(Head, detector.heads[0])
        found = {
            "parameters": count_parameters(head),
            "macs_per_s": macs_per_second(head, frontend=frontend),
            **self._time(detector, settings),
            "missed": measure(detector, heard, settings),
            "steps_per_s": self._training_rate(detector, frontend, settings),
        }
        shutil.rmtree(root / "checkpoints", ignore_errors=True)
        save_result(root / "result.json", found, spent=None)

    def _over(self, frontend: str, architecture: str) -> dict[str, Any]:
        """Settings of a network."""
        train = {"architecture": architecture, "size": self.size, "members": self.members, "steps": self.steps}
        knobs = dict.fromkeys(("layer_size", "n_blocks", "embedding_dim", "activation_function"))
        return {"features": {"frontends": [frontend], "gate_frontend": frontend}, "train": {**train, **knobs}}

    def _time(self, detector: Detector, settings: Settings) -> dict[str, float]:
        """Milliseconds of the exported graph on one hop, once it is proven to compute the same."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export_detector(detector, path, state_size=detector.state_size, opset=settings.export.opset)
            write_card(path, first_card(detector, settings, kind="detector", model_name=path.stem))
            difference = check_parity(detector, path, seed=settings.seed, tolerance=settings.export.tolerance)
            call = streamed(session(path), state_size=detector.state_size, hops=1)
            median, least = milliseconds(call, seconds=self.seconds)
        return {"ms": median, "least_ms": least, "difference": difference}

    def _training_rate(self, detector: Detector, frontend: str, settings: Settings) -> float:
        """Steps a second on one batch; it spoils the weights."""
        head = cast(Head, detector.heads[0])
        network = cast(nn.Module, head).train()
        batch = sum(settings.train.batch_composition.values())
        features = torch.randn(batch, head.window_frames, FRONT_ENDS[frontend].n_features)
        optimiser = torch.optim.AdamW(network.parameters(), foreach=True)
        steps, started = 0, time.perf_counter()
        while not steps or time.perf_counter() - started < self.seconds:
            optimiser.zero_grad()
            head.score_window(features).square().mean().backward()
            optimiser.step()
            steps += 1
        return steps / (time.perf_counter() - started)


def print_table(experiment: Experiment, frontends: Sequence[str], architectures: Sequence[str]) -> None:
    """One line for each network that is done, best first on each front end."""
    print(f"size {experiment.size}, {experiment.members} a head, {experiment.steps} steps; missed on {SPLIT}, %")
    header = f"{'':<16}{'parameters':>11}{'MMAC/s':>8}{'ms':>7}{'least':>7}{'steps/s':>9}"
    print(header + "".join(f"{condition:>20}" for condition in PEOPLE))
    for frontend in frontends:
        print(frontend)
        paths = {name: experiment.folder(frontend, name) / "result.json" for name in architectures}
        found = {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()}
        for name in sorted(found, key=lambda name: sum(map(sum, found[name]["missed"][SPLIT].values()))):
            print(f"  {name:<14}" + line(found[name]))
        print("".join(f"  {name:<14}not done\n" for name in architectures if name not in found), end="")


def line(found: Mapping[str, Any]) -> str:
    """One network."""
    text = f"{found['parameters']:>11,}{found['macs_per_s'] / 1e6:>8.2f}{found['ms']:>7.3f}{found['least_ms']:>7.3f}"
    text += f"{found['steps_per_s']:>9.1f}"
    for condition in PEOPLE:
        missed = found["missed"][SPLIT][condition]
        rate = share(sum(missed), len(missed))
        text += f"{100 * rate.rate:>7.1f} ({100 * rate.low:4.1f}-{100 * rate.high:4.1f})"
    return text


if __name__ == "__main__":
    main()
