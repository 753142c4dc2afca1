"""What a teacher says of the training windows: the logit of its score.

A detector of this pipeline answers from the features that it was trained on. Of an exported one nothing is needed but
its file: each window is streamed through the graph from digital silence on, as a device would hear it, and the last
score counts. Both ways give the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from models.detector import Detector
from nanowakeword.errors import ConfigError
from nanowakeword.graph import Graph
from nanowakeword.timing import HOP_SAMPLES
from steps.progress import Progress
from steps.store import RowReader
from steps.validation import score_detector
from steps.workers import map_in_order

__all__ = ["checkpoint_logits", "exported_logits", "load_teacher"]

# Few enough that what a layer computes of them stays in the processor's cache.
_BATCH: Final = 8
_BLOCK: Final = 256
# A score is a float32: the nearest one below 1 is 6e-8 away, and what lies nearer is no knowledge.
_SURE: Final = 1e-7
_SURE_LOGIT: Final = float(logit(1 - _SURE))

_Block = tuple[int, Path]


def checkpoint_logits(teacher: Detector, data: RowReader) -> npt.NDArray[np.float32]:
    """A detector's calibrated logit of each row of its features, float32 ``[n]``, between about -16 and 16."""
    scale, offset = teacher.calibration.tolist()
    logits: npt.NDArray[np.float32] = scale * score_detector(teacher, data) + np.float32(offset)
    return np.clip(logits, -_SURE_LOGIT, _SURE_LOGIT).astype(np.float32)


def load_teacher(path: Path, *, phrase: str) -> Graph:
    """Load a model that is to be taught from.

    Args:
        path: an exported detector.
        phrase: that the training windows hold.

    Raises:
        ConfigError: it hears another phrase, or is a gate itself.
        ModelError: it is missing, damaged or no model of ours; of another sample rate, hop or kind of graph.
    """
    teacher = Graph.load(path)
    if teacher.card.kind != "detector":
        raise ConfigError(
            f"the teacher {path}", got=f"a {teacher.card.kind}", expected="a detector", hint="Give the file NAME.onnx"
        )
    if teacher.card.phrase.casefold() != phrase.casefold():
        raise ConfigError(
            f"the teacher {path} hears another phrase",
            got=repr(teacher.card.phrase),
            expected=f"{phrase!r}, as the windows hold",
            hint="Give the workspace of its phrase, or make one: python -m steps workspace DIR",
        )
    return teacher


def exported_logits(
    path: Path, windows: Path, *, folder: Path, workers: int, progress: Progress
) -> npt.NDArray[np.float32]:
    """An exported model's logit of each window: that of its score, calibration included.

    Args:
        path: the model, as `load_teacher` takes it.
        windows: group of a store with the array ``audio``, int16 ``[n, samples]``.
        folder: blocks that are done are kept in it, for a run that goes on after a kill.
        workers: processes.
        progress: told of the windows that are done.

    Returns:
        float32 ``[n]``, between about -16 and 16.

    Raises:
        ModelError: it cannot be loaded.
        StorageError: the store is damaged.
    """
    n_windows = RowReader(windows)["audio"].shape[0]
    kept = folder / _digest(path, windows)
    kept.mkdir(parents=True, exist_ok=True)
    blocks = [(first, kept / f"{first:08d}.npy") for first in range(0, n_windows, _BLOCK)]
    missing = [block for block in blocks if not block[1].is_file()]
    done = len(blocks) - len(missing)
    with closing(map_in_order(_listen, missing, workers=workers, start=_start, arguments=(path, windows))) as heard:
        for _ in heard:
            done += 1
            progress.update(done, len(blocks), unit="blocks", note=f"{path.name} listens")
    scores = np.concatenate([np.load(file, allow_pickle=False) for _, file in blocks])
    logits: npt.NDArray[np.float32] = logit(np.clip(scores.astype(np.float64), _SURE, 1 - _SURE)).astype(np.float32)
    return logits


def _digest(path: Path, windows: Path) -> str:
    """Of the model, and of the store's metadata, which hold a checksum of each chunk."""
    digest = hashlib.sha256()
    for file in (path, *sorted(windows.rglob("zarr.json"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


_loaded: list[tuple[Graph, RowReader]] = []


def _start(path: Path, windows: Path) -> None:
    _loaded[:] = [(Graph.load(path), RowReader(windows))]


def _listen(block: _Block) -> None:
    """Write the scores of a block, beside its place and then there."""
    ((graph, windows),) = _loaded
    first, file = block
    audio = windows["audio"]
    rows = audio.rows(np.arange(first, min(first + _BLOCK, len(audio))))
    scores = np.concatenate([graph.run(part, graph.zero_state(len(part)))[0][:, -1] for part in _batches(rows)])
    beside = file.with_suffix(".writing")
    with beside.open("wb") as stream:
        np.save(stream, scores, allow_pickle=False)
    beside.replace(file)


def _batches(rows: npt.NDArray[np.int16]) -> Iterator[npt.NDArray[np.int16]]:
    """A few windows at once, their last whole hops: what is before them is less than one."""
    whole = rows[:, rows.shape[1] % HOP_SAMPLES :]
    for first in range(0, len(whole), _BATCH):
        yield np.ascontiguousarray(whole[first : first + _BATCH])
