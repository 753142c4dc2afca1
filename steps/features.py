"""Stage features: what the networks see of each window, extracted once.

    features.zarr   groups train and validation; one array per front end, float16 [n, t, f], and label, pool, clip

``t`` is the front end's ``context_frames``: the last frames of each window, which is all that a head looks at. The
streaming front ends start in the state they have after long digital silence, as they do when they serve.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.frontends.table import FrontEndRow, front_end_row
from models.streaming import FrontEnd, settle
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from steps.settings import Features
from steps.stage import Context
from steps.store import RowReader, RowWriter
from steps.workers import map_in_order

__all__ = ["FeatureExtractor", "run", "store_attributes", "used_front_ends"]

_COPIED: Final = ("label", "pool", "clip")
# Few enough that the layers' activations stay in the processor's cache: 128 rows at once take twice the time.
_BATCH: Final = 8
_BLOCK: Final = 64

_Block = tuple[str, str, int, int]  # split, front end, first row, end


def used_front_ends(settings: Features) -> dict[str, FrontEndRow]:
    """The front ends of the verifier and the gate, by name."""
    names = (*settings.frontends, settings.gate_frontend)
    return {name: front_end_row(name, logmel=settings.logmel.options) for name in names}


def run(context: Context) -> None:
    """Extract the features of every front end in use."""
    settings = context.settings.features
    windows = context.input("augment") / "windows.zarr"
    rows = used_front_ends(settings)
    groups = {split: RowReader(windows / split) for split in ("train", "validation")}
    for row in rows.values():
        _check_length(row, n_samples=groups["train"]["audio"].shape[1])
        row.build()  # weights that are missing are asked for here, once, before any worker starts
    blocks: list[_Block] = [
        (split, name, first, min(first + _BLOCK, len(group["label"])))
        for split, group in groups.items()
        for name in rows
        for first in range(0, len(group["label"]), _BLOCK)
    ]
    total, done = sum(end - first for _, _, first, end in blocks), 0
    with (
        RowWriter(context.out / "features.zarr") as store,
        closing(
            map_in_order(_extract, blocks, workers=settings.workers, start=_start, arguments=(windows, settings))
        ) as extracted,
    ):
        for split, group in groups.items():
            store.attributes[split] = {"pools": group.attributes["pools"]}
            for name in _COPIED:
                store.append(f"{split}/{name}", group[name].all())
        for (split, name, first, end), features in zip(blocks, extracted, strict=True):
            store.append(f"{split}/{name}", features, attributes=store_attributes(rows[name]))
            done += end - first
            context.progress.update(done, total, unit="windows", note=name)


def store_attributes(row: FrontEndRow) -> dict[str, Any]:
    """What a store says of the features of a front end."""
    return {"fingerprint": row.fingerprint, "frames_per_hop": row.frames_per_hop}


def _check_length(row: FrontEndRow, *, n_samples: int) -> None:
    """A window must hold all the frames that a head looks at."""
    hops = -(-row.context_frames // row.frames_per_hop)
    if n_samples < hops * HOP_SAMPLES:
        raise ConfigError(
            f"augment.window_s is too short for the front end {row.name}",
            got=f"{n_samples // HOP_SAMPLES * HOP_S:g} s",
            expected=f"at least {hops * HOP_S:g} s",
        )


class FeatureExtractor:
    """One front end, settled on silence.

    Args:
        row: of the table.
    """

    def __init__(self, row: FrontEndRow) -> None:
        self._name = row.name
        self._module = row.build()
        front_end: FrontEnd = self._module
        self._context_frames = row.context_frames
        past_hops = -(-front_end.receptive_field_samples // HOP_SAMPLES)
        self._hops = -(-self._context_frames // front_end.frames_per_hop) + past_hops
        quiet = torch.zeros(1, past_hops * HOP_SAMPLES)
        self._silence = settle(self._module, quiet, state_size=front_end.state_size)

    @torch.inference_mode()
    def __call__(self, windows: npt.NDArray[np.int16]) -> npt.NDArray[np.float16]:
        """Int16 windows ``[n, samples]`` -> features ``[n, context_frames, f]``.

        Raises:
            ModelError: a feature does not fit into float16.
        """
        # What lies before the receptive field of the first kept frame changes nothing.
        audio = torch.from_numpy(windows[:, -self._hops * HOP_SAMPLES :].astype(np.float32))
        parts = [
            self._module(audio[i : i + _BATCH], self._silence.expand(len(audio[i : i + _BATCH]), -1))[0]
            for i in range(0, len(audio), _BATCH)
        ]
        features = torch.cat(parts)[:, -self._context_frames :].to(torch.float16).numpy()
        if not np.isfinite(features).all():
            raise ModelError(f"front end {self._name}", got="features beyond the range of float16")
        return np.asarray(features, np.float16)


_windows: dict[str, RowReader] = {}
_extractors: dict[str, FeatureExtractor] = {}


def _start(windows: Path, settings: Features) -> None:
    """One thread for each process: sums in another order would be other bytes."""
    torch.set_num_threads(1)
    _windows.update({split: RowReader(windows / split) for split in ("train", "validation")})
    _extractors.update({name: FeatureExtractor(row) for name, row in used_front_ends(settings).items()})


def _extract(block: _Block) -> Any:
    split, name, first, end = block
    return _extractors[name](_windows[split]["audio"].rows(np.arange(first, end)))
