"""NanoWakeword's own training loop, its data sets, sampler and loader included; a child of ``benchmarks/training.py``.

    python -m benchmarks.peer_training WHEEL FOLDER STEPS

FOLDER has ``targets.npy``, ``negatives.npy`` and ``noise.npy``. Prints one line of JSON: ``parameters``, ``cpu_s`` of
STEPS steps beyond the first few, and ``fetch_s``, those of them in building batches. Its package is imported from the
wheel without its front door, which wants a sound card's libraries; ``torchinfo``, which it imports and does not use
here, is stood in for.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

COMPOSITION = {"targets": 90, "negatives": 230, "noise": 40}
LEARNING_RATE = 0.002
# What so few steps take is taken off what more of them take: setting up is not the loop.
FEW = 10


class Timed:
    """A loader that knows how long it was waited for."""

    def __init__(self, loader: Any) -> None:
        self._loader, self.dataset, self.seconds = loader, loader.dataset, 0.0

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._loader)
        while True:
            started = time.process_time()
            batch = next(batches, None)
            self.seconds += time.process_time() - started
            if batch is None:
                return
            yield batch


def main() -> None:
    """Train, and say what it took."""
    wheel, folder, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    package = ModuleType("nanowakeword")
    package.__path__ = [f"{wheel}/nanowakeword"]
    sys.modules.update({"nanowakeword": package, "torchinfo": ModuleType("torchinfo")})
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import torch
        from torch.utils.data import DataLoader

        torch.set_num_threads(1)
        data = importlib.import_module("nanowakeword.data.data_sampler")
        model = importlib.import_module("nanowakeword.modules.model")
        trainer = importlib.import_module("nanowakeword.train.train_model")

        def train(steps: int) -> dict[str, float]:
            config = {"steps": steps, "learning_rate_max": LEARNING_RATE, "early_stopping_patience": 0}
            manifest = {name: {name: str(folder / f"{name}.npy")} for name in COMPOSITION}
            dataset = data.AdaptiveLossAwareDataset(manifest)
            sampler = data.DynamicClassAwareSampler(dataset, COMPOSITION, manifest)
            loader = Timed(DataLoader(dataset, batch_sampler=sampler, num_workers=0))
            network = model.Model(config, "peer", model_type="dnn", layer_dim=64, n_blocks=1)
            loop = trainer.Trainer(network, config)
            table = ModuleType("table")
            table.update = lambda **_: None  # type: ignore[attr-defined]
            with tempfile.TemporaryDirectory() as logs:
                started = time.process_time()
                loop.train_model(loader, None, steps, logs, table)
                spent = time.process_time() - started
            parameters = sum(p.numel() for p in network.parameters())
            return {"parameters": parameters, "cpu_s": spent, "fetch_s": loader.seconds}

        train(FEW)
        gc.freeze()  # what was imported is not gone through again while the loop is timed
        few, many = train(FEW), train(FEW + steps)
    print(json.dumps({name: many[name] - few[name] * (name != "parameters") for name in many}))


if __name__ == "__main__":
    main()
