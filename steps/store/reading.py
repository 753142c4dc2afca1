"""Reading rows of a store at random, from memory-mapped chunk files."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import StorageError
from steps.store.layout import CHECKSUMS, chunk_path

__all__ = ["RowArray", "RowReader"]

Array = npt.NDArray[Any]

# With shorter runs of rows of one chunk than this, their bytes are strung together sooner than copied run by run.
_ROWS_PER_RUN: Final = 8
_MAKE_AGAIN: Final = "Delete it and run the stage that makes it again"


class RowReader(Mapping[str, "RowArray"]):
    """Opens a store, or one group of it, for reading.

    ``reader["audio"]`` opens an array, once, and checks its checksums.

    Args:
        folder: the store, or a group in it: ``store / "train"``.

    Attributes:
        attributes: of the group.

    Raises:
        StorageError: the folder is no finished store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.attributes: dict[str, Any] = _metadata(folder, node="group")["attributes"]
        self._names = sorted(
            str(file.parent.relative_to(folder))
            for file in folder.rglob("zarr.json")
            if json.loads(file.read_text("utf-8"))["node_type"] == "array"
        )
        self._open: dict[str, RowArray] = {}

    def __getitem__(self, name: str) -> RowArray:
        """Array of this name.

        Raises:
            KeyError: the store has no such array.
            StorageError: the array is damaged.
        """
        if name not in self._names:
            raise KeyError(f"no array {name!r} in {self._folder}; it has {', '.join(self._names) or 'none'}")
        if name not in self._open:
            self._open[name] = RowArray(self._folder / name)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class RowArray:
    """Rows of one array, read from memory-mapped chunk files.

    Args:
        folder: of the array.

    Attributes:
        shape: ``(n_rows, *row)``.
        dtype: of the numbers.
        attributes: of the array.

    Raises:
        StorageError: a chunk is missing or its checksum is wrong, or the array was not written by `RowWriter`.
    """

    def __init__(self, folder: Path) -> None:
        facts = _metadata(folder, node="array")
        self.attributes: dict[str, Any] = facts["attributes"]
        self.shape: tuple[int, ...] = tuple(facts["shape"])
        self.dtype = np.dtype(facts["data_type"]).newbyteorder("<")
        chunk_shape = tuple(facts["chunk_grid"]["configuration"]["chunk_shape"])
        if [codec["name"] for codec in facts["codecs"]] != ["bytes"] or chunk_shape[1:] != self.shape[1:]:
            raise StorageError(
                f"{folder} cannot be memory-mapped", expected="uncompressed chunks of whole rows", hint=_MAKE_AGAIN
            )
        self._chunk_rows: int = chunk_shape[0]
        n_chunks = -(-self.shape[0] // self._chunk_rows)
        checksums = self.attributes.get(CHECKSUMS, [])
        if len(checksums) != n_chunks:
            raise StorageError(
                f"{folder} is damaged", got=f"{len(checksums)} checksums", expected=n_chunks, hint=_MAKE_AGAIN
            )
        self._chunks = [
            _open_chunk(chunk_path(folder, i, n_axes=len(self.shape)), shape=chunk_shape, dtype=self.dtype, crc=crc)
            for i, crc in enumerate(checksums)
        ]
        self._bytes = [chunk.reshape(-1).view(np.uint8).data for chunk in self._chunks]

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, indices: npt.ArrayLike) -> Array:
        """A copy of rows, in the order asked for; repeats are allowed.

        Args:
            indices: integers ``[m]`` in ``[0, n_rows)``.

        Returns:
            ``[m, *row]``.

        Raises:
            IndexError: an index out of range.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} asked for, of {len(self)}")
        chunk_of, row_of = np.divmod(wanted, self._chunk_rows)
        # Runs of rows of one chunk. They are copied run by run, while which other threads may work; or, where there are
        # many, their bytes are strung together row by row.
        ends = [*(np.flatnonzero(np.diff(chunk_of)) + 1).tolist(), len(wanted)]
        if len(wanted) < _ROWS_PER_RUN * (len(ends) - 1):
            size = self.dtype.itemsize * math.prod(self.shape[1:])
            starts = zip(chunk_of.tolist(), (row_of * size).tolist(), strict=True)
            joined = bytearray().join([self._bytes[chunk][start : start + size] for chunk, start in starts])
            return np.frombuffer(joined, self.dtype).reshape(len(wanted), *self.shape[1:])
        out = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        for first, end in pairwise([0, *ends]):
            if first < end:
                # The numbers are known to be right; numpy copies faster than it indexes.
                chunk = self._chunks[chunk_of[first]]
                np.take(chunk, row_of[first:end], axis=0, out=out[first:end], mode="clip")
        return out

    def all(self) -> Array:
        """A copy of all rows, ``[n_rows, *row]``: for labels, not for audio."""
        return self.rows(np.arange(len(self)))


def _metadata(folder: Path, *, node: str) -> dict[str, Any]:
    """Read a node's ``zarr.json``."""
    try:
        facts: dict[str, Any] = json.loads((folder / "zarr.json").read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StorageError(f"no store at {folder}", hint="Run the stage that makes it") from None
    except ValueError:
        raise StorageError(f"{folder}/zarr.json is damaged", hint=_MAKE_AGAIN) from None
    if facts.get("node_type") != node or facts.get("zarr_format") != 3:
        raise StorageError(
            str(folder), got=f"zarr {facts.get('zarr_format')} {facts.get('node_type')}", expected=f"a zarr 3 {node}"
        )
    facts.setdefault("attributes", {})
    return facts


def _open_chunk(path: Path, *, shape: tuple[int, ...], dtype: np.dtype[Any], crc: int) -> Array:
    """Map one chunk file and check it."""
    n_bytes = dtype.itemsize * math.prod(shape)
    if not path.is_file() or path.stat().st_size != n_bytes:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise StorageError(f"{path} is damaged", got=found, expected=f"{n_bytes} bytes", hint=_MAKE_AGAIN)
    if n_bytes == 0:
        return np.empty(shape, dtype=dtype)
    # As a plain array: numpy.memmap pays for its subclass at each indexing.
    chunk: Array = np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=shape)).view(np.ndarray)
    if zlib.crc32(chunk.data.cast("B")) != crc:
        raise StorageError(f"{path} is damaged", got="another checksum than was written", hint=_MAKE_AGAIN)
    return chunk
