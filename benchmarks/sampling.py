"""Batches drawn by their losses: ours beside torch.multinomial, as the data grows, and 360 rows read from a store.

A batch of 192 rows from three pools is drawn, and its losses are remembered; torch draws as many from as many rows, and
nothing is remembered. Memory for 100 million rows: 1.5 GB.

python -m benchmarks.sampling
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.program import run
from steps.dataset import AdaptiveLossAwareDataset, Source
from steps.sampling import DynamicClassAwareSampler
from steps.store import RowReader, RowWriter

SIZES: Final = (100_000, 1_000_000, 10_000_000, 100_000_000)
COMPOSITION: Final = {"positive": 68, "speech": 108, "noise": 16}
SHARES: Final = {"positive": 0.1, "speech": 0.8, "noise": 0.1}
TORCH_LIMIT: Final = 2**24
GATHERED, STORED = 360, 200_000


class Unread:
    """So many rows of features that nobody reads here."""

    def __init__(self, n: int) -> None:
        self.shape: tuple[int, ...] = (n, 16, 96)

    def rows(self, indices: Any) -> Any:
        """Not asked for."""
        raise NotImplementedError


def milliseconds(work: Callable[[], object], *, seconds: float = 1.0, rounds: int = 5) -> float:
    """Time of one call: the least of some rounds' means, which other programs disturb least."""
    work()
    means = []
    for _ in range(rounds):
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < seconds / rounds:
            work()
            calls += 1
        means.append((time.perf_counter() - started) / calls)
    return 1e3 * min(means)


def sample(n: int) -> tuple[float, float, float]:
    """Seconds to plant the trees, milliseconds a batch of ours, and of torch's (nan: it refuses)."""
    rng = np.random.default_rng(0)
    sources = [Source(features=Unread(round(n * share)), pools=pool) for pool, share in SHARES.items()]
    data = AdaptiveLossAwareDataset(sources)
    data.losses.copy_(torch.from_numpy(rng.exponential(size=n).astype(np.float32)))
    started = time.perf_counter()
    sampler = DynamicClassAwareSampler(data, COMPOSITION, seed=0, alpha=0.75, epsilon=1e-6)
    planted_s = time.perf_counter() - started
    losses = rng.exponential(size=sum(COMPOSITION.values()))

    def ours() -> None:
        sampler.update(sampler.draw(), losses)

    def theirs() -> None:
        for part, count in zip(parts, COMPOSITION.values(), strict=True):
            torch.multinomial(part, count)

    parts = torch.split(data.losses**0.75 + 1e-6, [round(n * share) for share in SHARES.values()])
    refused = max(len(part) for part in parts) > TORCH_LIMIT
    return planted_s, milliseconds(ours), float("nan") if refused else milliseconds(theirs, rounds=2)


def gather() -> float:
    """Milliseconds to read 360 rows of 16 x 96 float16, as float32."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        block = rng.standard_normal((10_000, 16, 96)).astype(np.float16)
        with RowWriter(Path(name) / "rows.zarr") as store:
            for _ in range(STORED // len(block)):
                store.append("features", block)
        rows = RowReader(Path(name) / "rows.zarr")["features"]
        data = AdaptiveLossAwareDataset([Source(features=rows, pools="speech")])

        def read() -> None:
            data.rows(np.sort(rng.integers(0, STORED, GATHERED)), frames=16)  # ascending, as the sampler draws them

        return milliseconds(read, rounds=20, seconds=4)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--most", type=int, default=SIZES[-1], metavar="ROWS", help="largest size (default: %(default)s)"
    )
    most = parser.parse_args().most
    torch.set_num_threads(1)
    print(f"{'rows':>12} {'planted, s':>11} {'ours, ms':>9} {'batches/s':>10} {'torch, ms':>10} {'batches/s':>10}")
    for n in SIZES:
        if n <= most:
            planted_s, ours_ms, torch_ms = sample(n)
            ours, theirs = f"{ours_ms:9.2f} {1e3 / ours_ms:10.0f}", f"{torch_ms:10.2f} {1e3 / torch_ms:10.1f}"
            print(f"{n:12,} {planted_s:11.2f} {ours} {theirs}")
    print(f"torch.multinomial takes at most {TORCH_LIMIT:,} rows of a pool")
    print(f"{GATHERED} rows read in {gather():.2f} ms")


if __name__ == "__main__":
    run(main)
