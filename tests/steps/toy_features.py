"""A store of features in which the phrase is a bump, small enough to learn in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.frontends.table import FRONT_ENDS
from steps.store import RowWriter

POOLS = ["positive", "partial", "speech", "noise", "neighbour"]


def write_features(
    folder: Path, *, frontends: tuple[str, ...], rows: int = 240, neighbours: int = 0, seed: int = 0
) -> None:
    """Write groups ``train`` and ``validation`` with one array per front end; neighbours are loud, and come last."""
    with RowWriter(folder) as writer:
        for number, group in enumerate(("train", "validation")):
            rng = np.random.default_rng([seed, number])
            pools = rng.integers(0, len(POOLS) - 1, size=rows).astype(np.int8)
            labels = (pools == 0).astype(np.int8)
            for name in frontends:
                row = FRONT_ENDS[name]
                frames = rng.standard_normal((rows, row.context_frames, row.n_features))
                middle = slice(row.context_frames // 2, row.context_frames // 2 + 2 * row.frames_per_hop)
                frames[:, middle, : row.n_features // 4] += 2.0 * labels[:, None, None]
                writer.append(f"{group}/{name}", frames.astype(np.float16))
                loud = np.full((neighbours, row.context_frames, row.n_features), 9.0, np.float16)
                writer.append(f"{group}/{name}", loud)
            pools = np.append(pools, np.full(neighbours, POOLS.index("neighbour"), np.int8))
            labels = np.append(labels, np.zeros(neighbours, np.int8))
            for name, values in {
                "label": labels,
                "pool": pools,
                "clip": np.arange(rows + neighbours, dtype=np.int32),
            }.items():
                writer.append(f"{group}/{name}", values)
            writer.attributes[group] = {"pools": POOLS}
