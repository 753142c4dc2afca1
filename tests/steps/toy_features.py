"""A store of features in which the phrase is a bump, small enough to learn in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.frontends.table import FRONT_ENDS
from steps.store import RowWriter

POOLS = ["positive", "partial", "speech", "noise"]


def write_features(folder: Path, *, frontends: tuple[str, ...], rows: int = 240, seed: int = 0) -> None:
    """Write groups ``train`` and ``validation`` with one array per front end."""
    with RowWriter(folder) as writer:
        for number, group in enumerate(("train", "validation")):
            rng = np.random.default_rng([seed, number])
            pools = rng.integers(0, len(POOLS), size=rows).astype(np.int8)
            labels = (pools == 0).astype(np.int8)
            for name in frontends:
                row = FRONT_ENDS[name]
                frames = rng.standard_normal((rows, row.context_frames, row.n_features))
                middle = slice(row.context_frames // 2, row.context_frames // 2 + 2 * row.frames_per_hop)
                frames[:, middle, : row.n_features // 4] += 2.0 * labels[:, None, None]
                writer.append(f"{group}/{name}", frames.astype(np.float16))
            for name, values in {"label": labels, "pool": pools, "clip": np.arange(rows, dtype=np.int32)}.items():
                writer.append(f"{group}/{name}", values)
            writer.attributes[group] = {"pools": POOLS}
