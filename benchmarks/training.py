"""Steps of the whole training loop in a CPU-second, and its share of fetching data: ours beside NanoWakeword's.

    python -m benchmarks.training
    python -m benchmarks.training --steps 40 --rounds 1     # a quick try

The same network, flat and fully connected, on the same rows, batches of 360, one thread, one process. NanoWakeword's is
its own trainer with its own data set, sampler and loader; it draws from as many rows as it needs for every step to be a
new batch, for after a first pass it repeats that pass from memory. Ours is ``steps.training.train_head`` with the
settings of ``params.yaml``: noise on the features and a moving average of the weights come on top, which NanoWakeword
has not. A row without the noise says what that costs.
The same network is written in two ways: its first layer as a matrix, as NanoWakeword writes it, or as a convolution as
long as the window, which is the same sum. torch leaves convolutions to oneDNN and matrices to MKL, and which of them is
quicker depends on the processor: with AVX-512 this convolution was, with AVX2 alone its way back took eight times as
long as that of the matrix. Our heads have shorter convolutions.
The floor is the network alone: forward, loss, backward, the optimiser's step, on one batch again and again. No
loop around it can be quicker, so the floor says what ratio can be had at all.
Waiting is the share of the time on the clock in which our loop stands still for a batch. It means something where two
cores are free: one reads while the other one computes.
A validation is made once, at the end; it is timed by itself and left out, as is setting up: what a few steps take is
taken off. Processor time, and of several rounds, in which all are timed in turn, the least of each: a machine that
others share is not as quick at one moment as at the next. Still, a quiet one is needed for the ratio.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer_training import COMPOSITION, FEW, LEARNING_RATE
from benchmarks.program import run
from models.frontends.table import FRONT_ENDS
from models.sizes import choose_network
from models.streaming import Head
from models.table import build_head
from nanowakeword.errors import NanoWakewordError
from steps import training
from steps.batches import Batches
from steps.closure import CHECKOUT
from steps.dataset import AdaptiveLossAwareDataset
from steps.losses import HardTargets
from steps.optimisation import make_optimizer
from steps.progress import Progress
from steps.sampling import DynamicClassAwareSampler
from steps.settings import SettledTrain, load_settings
from steps.store import RowReader, RowWriter
from steps.training import TrainingJob, train_head

FRONT_END: Final = "speech_embedding"
FRAMES: Final = 16
PEER: Final = "nanowakeword==2.1.3"
POOLS: Final = {"targets": "positive", "negatives": "speech", "noise": "noise"}
TARGET: Final = 3.0


class FlatDnn(nn.Module):
    """The peer's default network, layer by layer, as a `models.streaming.Head`; like it, it standardises nothing.

    Args:
        convolved: the first layer is a convolution as long as the window, or else a matrix: as many weights, drawn
            from the same distribution, and the same sum.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *, convolved: bool) -> None:
        super().__init__()
        n_features, width = FRONT_ENDS[FRONT_END].n_features, 64
        matrix = (nn.Flatten(), nn.Linear(FRAMES * n_features, width))
        convolution = (nn.Unflatten(1, (1, FRAMES)), nn.Conv2d(1, width, (FRAMES, n_features)), nn.Flatten())
        self.window_frames = self.window_hops = FRAMES
        self.state_size = (FRAMES - 1) * n_features
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))
        self.layers = nn.Sequential(
            *(convolution if convolved else matrix),
            *(nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(width // 2, 1),
        )

    def score_window(self, features: Tensor) -> Tensor:
        """Features ``[b, 16, f]`` -> logits ``[b, 1]``."""
        logits: Tensor = self.layers(features)
        return logits

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[b, k, f]``, state: the 15 frames before -> logits ``[b, k]``, next state."""
        b, k, f = features.shape
        line = torch.cat([state.reshape(b, FRAMES - 1, f), features], dim=1)
        windows = line.unfold(1, FRAMES, 1).transpose(2, 3).reshape(b * k, FRAMES, f)
        return self.score_window(windows).reshape(b, k), line[:, -(FRAMES - 1) :].flatten(1)


class Spent:
    """Seconds in some functions while it is entered.

    Args:
        functions: owner and name of each.

    Attributes:
        cpu_s: CPU seconds of the threads that called them.
        clock_s: seconds on the clock.
    """

    def __init__(self, *functions: tuple[Any, str]) -> None:
        self._functions = [(owner, name, getattr(owner, name)) for owner, name in functions]
        self.cpu_s = self.clock_s = 0.0

    def __enter__(self) -> Spent:
        for owner, name, function in self._functions:
            setattr(owner, name, self._timed(function))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._functions:
            setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            cpu_s, clock_s = time.thread_time(), time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.cpu_s += time.thread_time() - cpu_s
                self.clock_s += time.perf_counter() - clock_s

        return timed


def main() -> None:
    """Write the rows, time both, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    steps = options.steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, steps=FEW + steps)
        timed: dict[str, Callable[[], dict[str, float]]] = {}
        for name, convolved in (("matrix", False), ("convolution", True)):
            make = partial(FlatDnn, convolved=convolved)
            timed[f"floor, {name}"] = partial(floor, make, folder, steps=steps)
            timed[f"ours, {name}"] = partial(ours, make, folder, steps=steps)
            timed[f"ours, {name}, no noise"] = partial(ours, make, folder, steps=steps, feature_noise=0.0)
        own = partial(build_head, choose_network("dnn"), form=FRONT_ENDS[FRONT_END], members=1)
        timed["ours, its own dnn"] = partial(ours, own, folder, steps=steps)
        wheel = download_peer(folder)
        if wheel is not None:
            timed = {PEER: partial(peer, wheel, folder, steps=steps), **timed}
        gc.freeze()  # as the peer: what was imported is not gone through again while a loop is timed
        found: dict[str, list[dict[str, float]]] = {title: [] for title in timed}
        for number in range(options.rounds):
            for title, measure in timed.items():
                print(f"\rround {number + 1} of {options.rounds}: {title:<40}", end="", file=sys.stderr, flush=True)
                found[title].append(measure())
    print(file=sys.stderr)
    least = {title: min(rounds, key=lambda spent: spent["cpu_s"]) for title, rounds in found.items()}
    print(f"{'':<28}{'parameters':>11}{'steps/CPU-s':>13}{'fetching':>10}{'waiting':>9}{'against':>9}")
    if wheel is None:
        print(f"{PEER} is not here: pip could not download it")
    rate = None if wheel is None else steps / least[PEER]["cpu_s"]
    for title, spent in least.items():
        print(row(title, spent, steps=steps, rate=rate))
    print(f"torch computes with {torch.backends.cpu.get_cpu_capability()} here")
    print(f"fetching: share of the time in drawing and reading batches; target: {TARGET:g} times NanoWakeword's rate")
    print("waiting: share of the time on the clock in which the loop stood still for a batch")


def row(title: str, found: dict[str, float], *, steps: int, rate: float | None) -> str:
    """A line of the table."""
    mine = steps / found["cpu_s"]
    against = "" if rate is None else f"{mine / rate:8.2f}x"
    waiting = f"{found['wait_s'] / found['clock_s']:9.1%}" if "wait_s" in found else f"{'':9}"
    fetching = f"{found['fetch_s'] / found['cpu_s']:10.1%}"
    return f"{title:<28}{found['parameters']:11,.0f}{mine:13.1f}{fetching}{waiting}{against}"


def write_rows(folder: Path, *, steps: int) -> None:
    """The same noise for both: as ``.npy`` files, and as a store with a small validation."""
    rng = np.random.default_rng(0)
    shape = (FRAMES, FRONT_ENDS[FRONT_END].n_features)
    with RowWriter(folder / "features.zarr") as store:
        for group, factor in (("train", steps), ("validation", 1)):
            for number, (name, count) in enumerate(COMPOSITION.items()):
                rows = rng.standard_normal((count * factor, *shape), dtype=np.float32)
                rows[:, :, :8] += name == "targets"
                if group == "train":
                    np.save(folder / f"{name}.npy", rows, allow_pickle=False)
                store.append(f"{group}/{FRONT_END}", rows.astype(np.float16))
                store.append(f"{group}/pool", np.full(len(rows), number, np.int8))
                store.append(f"{group}/label", np.full(len(rows), name == "targets", np.int8))
            store.attributes[group] = {"pools": list(POOLS.values())}


def ours(make: Callable[[], Any], folder: Path, *, steps: int, **changes: Any) -> dict[str, float]:
    """What our loop takes with some settings changed; the validation at its end is left out."""
    settings = _settings(steps=steps, **changes)
    store = folder / "features.zarr"
    train = RowReader(store / "train")
    taken = []
    for length in (FEW, FEW, FEW + steps):
        torch.manual_seed(0)
        head = make()
        with tempfile.TemporaryDirectory() as checkpoints:
            job = TrainingJob(
                frontend=FRONT_END,
                train=train,
                validation=RowReader(store / "validation"),
                settings=settings,
                steps=length,
                learning_rate_max=LEARNING_RATE,
                seed=0,
                checkpoints=Path(checkpoints),
                loss=HardTargets(train["label"].all(), smoothing=0.0),
            )
            fetching = Spent((DynamicClassAwareSampler, "draw"), (AdaptiveLossAwareDataset, "rows"))
            validating, waiting = Spent((training, "validate")), Spent((Batches, "take"))
            with fetching, validating, waiting, redirect_stderr(StringIO()):
                cpu_s, clock_s = time.process_time(), time.perf_counter()
                train_head(cast(Head, head), job, progress=Progress("train"))
                cpu_s, clock_s = time.process_time() - cpu_s, time.perf_counter() - clock_s
            taken.append(
                {
                    "cpu_s": cpu_s - validating.cpu_s,
                    "clock_s": clock_s - validating.clock_s,
                    "fetch_s": fetching.cpu_s,
                    "wait_s": waiting.clock_s,
                }
            )
    parameters = sum(parameter.numel() for parameter in head.parameters())
    _, few, many = taken
    return {"parameters": parameters, **{name: many[name] - few[name] for name in many}}


def _settings(*, steps: int, **changes: Any) -> SettledTrain:
    """Those of ``params.yaml``, with the batches, rate and steps of this comparison."""
    committed = load_settings(CHECKOUT / "params.yaml").train.model_dump()
    here = {
        "steps": steps,
        "learning_rate_max": LEARNING_RATE,
        "device": "cpu",
        "checkpoint_every_steps": FEW + steps,
        "batch_composition": {POOLS[name]: count for name, count in COMPOSITION.items()},
    }
    return SettledTrain.model_validate({**committed, **here, **changes})


def floor(make: Callable[[], FlatDnn], folder: Path, *, steps: int) -> dict[str, float]:
    """What the network takes alone: nothing fetched, disturbed, clipped, averaged or remembered."""
    network = make()
    parameters = list(network.parameters())
    optimizer = make_optimizer(network, _settings(steps=steps), learning_rate=LEARNING_RATE)
    batch = torch.from_numpy(np.load(folder / "negatives.npy", mmap_mode="r")[: sum(COMPOSITION.values())].copy())
    labels = (torch.arange(len(batch)) < COMPOSITION["targets"]).float().unsqueeze(1)
    started = 0.0
    for step in range(FEW + steps):
        if step == FEW:
            started = time.process_time()
        for parameter in parameters:
            parameter.grad = None
        F.binary_cross_entropy_with_logits(network.layers(batch), labels).backward()
        optimizer.step()
    spent = time.process_time() - started
    return {"parameters": sum(parameter.numel() for parameter in parameters), "cpu_s": spent, "fetch_s": 0.0}


def download_peer(folder: Path) -> Path | None:
    """NanoWakeword's wheel; None where it cannot be had."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    got = subprocess.run([*command, "--dest", str(folder), PEER], capture_output=True, text=True, check=False)
    return next(folder.glob("*.whl"), None) if got.returncode == 0 else None


def peer(wheel: Path, folder: Path, *, steps: int) -> dict[str, float]:
    """What NanoWakeword's takes."""
    program = [sys.executable, str(Path(__file__).with_name("peer_training.py")), str(wheel), str(folder)]
    ran = subprocess.run([*program, str(steps)], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise NanoWakewordError("NanoWakeword's trainer failed", got=(ran.stderr.splitlines() or ["no word"])[-1])
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    run(main)
