"""Features that the user has already, as ``.npy`` files: more rows for pools that the heads are trained on.

A file holds windows of one front end, float16 or float32 ``[n, t, f]`` with ``t`` and ``f`` as that front end stores
them, so that its frames end where a window ends. It serves the head on that front end alone, and is never loaded: its
rows are read from the memory-mapped file as those of the features' store are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from models.frontends.table import FrontEndRow, front_end_row
from nanowakeword.errors import ConfigError, StorageError
from steps.dataset import NpyRows, Source
from steps.settings import Settings

__all__ = ["check_npy_sources", "check_npy_values", "npy_sources"]

_TYPES: Final = (np.dtype("<f2"), np.dtype("<f4"))
_BLOCK: Final = 1_024


def check_npy_sources(settings: Settings, *, root: Path) -> None:
    """Read the headers of all files, and no row.

    Args:
        settings: all of them.
        root: folder that relative paths start from.

    Raises:
        ConfigError: files that are missing, or hold something else; all of them are named.
    """
    logmel = settings.features.logmel.options
    found = [
        (source.path, _problem(root / source.path, front_end_row(source.frontend, logmel=logmel)))
        for source in settings.train.npy_sources
    ]
    if problems := [f"{path}: {problem}" for path, problem in found if problem]:
        count = f"{len(problems)} wrong file" + ("s" if len(problems) > 1 else "")
        raise ConfigError("\n  ".join([f"train.npy_sources: {count}", *problems]))


def check_npy_values(settings: Settings, *, root: Path) -> None:
    """Read all files through, once; `check_npy_sources` found nothing wrong.

    Args:
        settings: all of them.
        root: folder that relative paths start from.

    Raises:
        StorageError: a value is no number, or infinite.
    """
    for source in settings.train.npy_sources:
        path = root / source.path
        rows = NpyRows(path)
        for first in range(0, rows.shape[0], _BLOCK):
            finite = np.isfinite(rows.rows(np.arange(first, min(first + _BLOCK, rows.shape[0])))).all(axis=(1, 2))
            if not finite.all():
                raise StorageError(
                    f"{path}: row {first + int(finite.argmin())}", got="a value that is no finite number"
                )


def npy_sources(settings: Settings, frontend: str, *, root: Path) -> list[Source]:
    """The rows of the files for the head on a front end, each with the pool that it is to join.

    Args:
        settings: all of them; the stage train found nothing wrong with the files.
        frontend: what the head listens to, see `steps.feature_rows.input_name`.
        root: folder that relative paths start from.
    """
    sources = [source for source in settings.train.npy_sources if source.frontend == frontend]
    return [Source(features=NpyRows(root / source.path), pools=source.pool) for source in sources]


def _problem(path: Path, row: FrontEndRow) -> str | None:
    """What is wrong with a file."""
    try:
        # Where numpy.load would open an archive of arrays, this refuses it.
        mapped = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        return "got no file; expected a .npy file"
    except (OSError, ValueError, EOFError) as error:
        return f"got no whole .npy file of numbers ({error})"
    shape = (row.context_frames, row.n_features)
    if mapped.dtype in _TYPES and mapped.shape[1:] == shape and len(mapped):
        return None
    expected = f"float16 or float32 [rows, {shape[0]}, {shape[1]}], as {row.name} stores it"
    return f"got {mapped.dtype} {list(mapped.shape)}; expected {expected}"
