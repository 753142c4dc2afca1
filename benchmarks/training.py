"""Steps of the whole training loop in a CPU-second, and its share of fetching data: ours beside NanoWakeword's.

    python benchmarks/training.py
    python benchmarks/training.py --steps 40        # a quick try

The same network, flat and fully connected, on the same rows, batches of 360, one thread, one process. NanoWakeword's is
its own trainer with its own data set, sampler and loader; it draws from as many rows as it needs for every step to be a
new batch, for after a first pass it repeats that pass from memory. Ours is ``steps.training.train_head`` with the
settings of ``params.yaml``: noise on the features, a moving average of the weights and the losses' tree come on top.
The floor is the same network alone: forward, loss, backward, the optimiser's step, on one batch again and again. No
loop around it can be quicker, so the floor says what ratio can be had at all.
A validation is made once, at the end; it is timed by itself and left out, as is setting up: what a few steps take is
taken off. Processor time, so that other programs disturb little; still, a quiet machine is needed for the ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer_training import COMPOSITION, FEW, LEARNING_RATE
from models.frontends.table import FRONT_ENDS
from models.sizes import choose_network
from models.streaming import Head
from models.table import build_head
from nanowakeword.errors import NanoWakewordError
from steps import training
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
    """The peer's default network, layer by layer, as a `models.streaming.Head`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        n_features, width = FRONT_ENDS[FRONT_END].n_features, 64
        self.window_frames = self.window_hops = FRAMES
        self.state_size = (FRAMES - 1) * n_features
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))
        self.layers = nn.Sequential(
            *(nn.Flatten(), nn.Linear(FRAMES * n_features, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(width // 2, 1),
        )

    def score_window(self, features: Tensor) -> Tensor:
        """Features ``[b, 16, f]`` -> logits ``[b, 1]``."""
        logits: Tensor = self.layers((features - self.mean).div_(self.deviation))
        return logits

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[b, k, f]``, state: the 15 frames before -> logits ``[b, k]``, next state."""
        b, k, f = features.shape
        line = torch.cat([state.reshape(b, FRAMES - 1, f), features], dim=1)
        windows = line.unfold(1, FRAMES, 1).transpose(2, 3).reshape(b * k, FRAMES, f)
        return self.score_window(windows).reshape(b, k), line[:, -(FRAMES - 1) :].flatten(1)


class Spent:
    """CPU seconds in some functions while it is entered.

    Args:
        functions: owner and name of each.
    """

    def __init__(self, *functions: tuple[Any, str]) -> None:
        self._functions = [(owner, name, getattr(owner, name)) for owner, name in functions]
        self.seconds = 0.0

    def __enter__(self) -> Spent:
        for owner, name, function in self._functions:
            setattr(owner, name, self._timed(function))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, function in self._functions:
            setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.process_time() - started

        return timed


def main() -> None:
    """Write the rows, time both, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, steps=FEW + steps)
        theirs = peer(folder, steps=steps)
        networks: dict[str, Callable[[], Any]] = {
            "ours, the same network": FlatDnn,
            "ours, its own dnn": lambda: build_head(choose_network("dnn"), form=FRONT_ENDS[FRONT_END], members=1),
        }
        print(f"{'':<26}{'parameters':>11}{'steps/CPU-s':>13}{'fetching':>10}{'against':>9}")
        rate = None
        if isinstance(theirs, str):
            print(f"{'NanoWakeword 2.1.3':<26} {theirs}")
        else:
            rate = steps / theirs["cpu_s"]
            print(row("NanoWakeword 2.1.3", theirs, steps=steps, rate=rate))
        print(row("floor, the same network", floor(folder, steps=steps), steps=steps, rate=rate))
        for title, make in networks.items():
            print(row(title, ours(make, folder, steps=steps), steps=steps, rate=rate))
    print(f"fetching: share of the time in drawing and reading batches; target: {TARGET:g} times NanoWakeword's rate")


def row(title: str, found: dict[str, float], *, steps: int, rate: float | None) -> str:
    """A line of the table."""
    mine = steps / found["cpu_s"]
    against = "" if rate is None else f"{mine / rate:8.1f}x"
    return f"{title:<26}{found['parameters']:11,.0f}{mine:13.1f}{found['fetch_s'] / found['cpu_s']:10.1%}{against}"


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


def ours(make: Callable[[], Any], folder: Path, *, steps: int) -> dict[str, float]:
    """What our loop takes; the validation at its end is left out."""
    settings = _settings(steps=steps)
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
            with fetching, Spent((training, "validate")) as validating, redirect_stderr(StringIO()):
                started = time.process_time()
                train_head(cast(Head, head), job, progress=Progress("train"))
                taken.append((time.process_time() - started - validating.seconds, fetching.seconds))
    parameters = sum(parameter.numel() for parameter in head.parameters())
    _, few, many = taken
    return {"parameters": parameters, "cpu_s": many[0] - few[0], "fetch_s": many[1] - few[1]}


def _settings(*, steps: int) -> SettledTrain:
    """Those of ``params.yaml``, with the batches, rate and steps of this comparison."""
    committed = load_settings(CHECKOUT / "params.yaml").train.model_dump()
    changes = {
        "steps": steps,
        "learning_rate_max": LEARNING_RATE,
        "device": "cpu",
        "checkpoint_every_steps": FEW + steps,
        "batch_composition": {POOLS[name]: count for name, count in COMPOSITION.items()},
    }
    return SettledTrain.model_validate({**committed, **changes})


def floor(folder: Path, *, steps: int) -> dict[str, float]:
    """What the network takes alone: nothing fetched, disturbed, clipped, averaged or remembered."""
    torch.manual_seed(0)
    network = FlatDnn()
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


def peer(folder: Path, *, steps: int) -> dict[str, float] | str:
    """What NanoWakeword's takes; a sentence where it cannot be had."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    got = subprocess.run([*command, "--dest", str(folder), PEER], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if got.returncode != 0 or not wheels:
        return f"is not here: pip could not download {PEER}"
    program = [sys.executable, str(Path(__file__).with_name("peer_training.py")), str(wheels[0]), str(folder)]
    ran = subprocess.run([*program, str(steps)], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise NanoWakewordError("NanoWakeword's trainer failed", got=(ran.stderr.splitlines() or ["no word"])[-1])
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
