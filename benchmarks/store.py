"""Random rows of a feature store: ours beside a numpy memmap and zarr's own indexing, in the same run.

python -m benchmarks.store
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.program import run
from steps.store import RowReader, RowWriter

ROWS, FRAMES, FEATURES, BATCH = 50_000, 98, 40, 128


def rows_per_second(read: Callable[[Any], Any], *, seconds: float) -> float:
    """Rows of random batches read in a second."""
    rng = np.random.default_rng(0)
    read(rng.integers(0, ROWS, BATCH))
    started, rows = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        read(rng.integers(0, ROWS, BATCH))
        rows += BATCH
    return rows / (time.perf_counter() - started)


def main() -> None:
    """Write the rows, read them three ways, print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        rng = np.random.default_rng(0)
        flat = np.lib.format.open_memmap(
            folder / "flat.npy", mode="w+", dtype=np.float32, shape=(ROWS, FRAMES, FEATURES)
        )
        with RowWriter(folder / "rows.zarr") as store:
            for start in range(0, ROWS, 5_000):
                block = rng.random((5_000, FRAMES, FEATURES), dtype=np.float32)
                store.append("features", block)
                flat[start : start + 5_000] = block
        flat.flush()
        print(f"written in {time.perf_counter() - started:.1f} s")

        started = time.perf_counter()
        array = RowReader(folder / "rows.zarr")["features"]
        opened_s = time.perf_counter() - started
        memmap = np.load(folder / "flat.npy", mmap_mode="r", allow_pickle=False)
        plain: Any = zarr.open_array(folder / "rows.zarr" / "features", mode="r")
        some = rng.integers(0, ROWS, BATCH)
        assert np.array_equal(array.rows(some), memmap[some])

        print(f"opened and checked in {opened_s:.2f} s ({flat.nbytes / 1e6:.0f} MB)")
        print(f"RowReader     {rows_per_second(array.rows, seconds=3):10,.0f} rows/s")
        print(f"numpy memmap  {rows_per_second(lambda rows: memmap[rows], seconds=3):10,.0f} rows/s")
        print(f"zarr oindex   {rows_per_second(lambda rows: plain.oindex[rows], seconds=3):10,.0f} rows/s")


if __name__ == "__main__":
    run(main)
