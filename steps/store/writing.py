"""Writing a store, all of it or none."""

from __future__ import annotations

import math
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import StorageError
from steps.store.layout import CHECKSUMS, chunk_path

__all__ = ["RowWriter"]

Array = npt.NDArray[Any]

# Few chunks, so that rows of a batch come in few runs; more would be a burden to copy or to check.
_CHUNK_BYTES: Final = 64 * 2**20


class RowWriter:
    """Writes a store, beside its place, and puts it there when all went well.

    Used as a context manager; leaving it by an exception leaves nothing behind. Rows may come in blocks of any size.

    Args:
        folder: the store; replaced if it exists.
        chunk_rows: rows in a chunk file; None: as many as fill 64 MiB.

    Attributes:
        attributes: of each group, ``""`` being the store itself; written at the end.
    """

    def __init__(self, folder: Path, *, chunk_rows: int | None = None) -> None:
        self._folder = folder
        self._working = folder.with_name(f".{folder.name}.working")
        self._chunk_rows = chunk_rows
        self._arrays: dict[str, _ArrayWriter] = {}
        self.attributes: dict[str, dict[str, Any]] = {"": {}}

    def __enter__(self) -> Self:
        shutil.rmtree(self._working, ignore_errors=True)
        self._working.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._working, ignore_errors=True)

    def append(self, name: str, rows: Array, *, attributes: Mapping[str, Any] | None = None) -> None:
        """Add rows to an array; the first call makes the array.

        Args:
            name: path in the store, for example ``train/audio``.
            rows: ``[n, ...]``; shape of a row and dtype as in the first call.
            attributes: added to the array's attributes.

        Raises:
            StorageError: rows of another shape or type than before.
        """
        if name not in self._arrays:
            row_bytes = max(1, rows.dtype.itemsize * math.prod(rows.shape[1:]))
            chunk_rows = self._chunk_rows or max(1, _CHUNK_BYTES // row_bytes)
            self._arrays[name] = _ArrayWriter(self._working / name, like=rows, chunk_rows=chunk_rows)
        self._arrays[name].append(rows)
        self._arrays[name].attributes.update(attributes or {})

    def _finish(self) -> None:
        """Write the metadata, last: what has none is no store."""
        import zarr  # slow to import, and readers do not need it

        root = zarr.open_group(self._working, mode="a", zarr_format=3, attributes=self.attributes.pop(""))
        groups = {name.rpartition("/")[0] for name in self._arrays} | set(self.attributes)
        for name in sorted(groups - {""}):
            root.create_group(name, attributes=self.attributes.get(name, {}))
        for name, array in self._arrays.items():
            checksums = array.close()
            root.create_array(
                name,
                shape=(array.n_rows, *array.row_shape),
                # One chunk is only as long as it needs to be; of several, the last is padded.
                chunks=(min(array.chunk_rows, max(1, array.n_rows)), *array.row_shape),
                dtype=array.dtype,
                compressors=None,
                filters=None,
                fill_value=0,
                attributes={**array.attributes, CHECKSUMS: checksums},
            )
        shutil.rmtree(self._folder, ignore_errors=True)
        self._working.rename(self._folder)


class _ArrayWriter:
    """Chunk files of one array, written as the rows come."""

    def __init__(self, folder: Path, *, like: Array, chunk_rows: int) -> None:
        self.dtype = like.dtype.newbyteorder("<")
        self.row_shape = like.shape[1:]
        self.chunk_rows = chunk_rows
        self.n_rows = 0
        self.attributes: dict[str, Any] = {}
        self._folder = folder
        self._checksums: list[int] = []

    def append(self, rows: Array) -> None:
        if rows.shape[1:] != self.row_shape or rows.dtype.newbyteorder("<") != self.dtype:
            raise StorageError(
                f"rows of {self._folder.name}",
                got=f"{rows.dtype} {list(rows.shape[1:])}",
                expected=f"{self.dtype} {list(self.row_shape)} as before",
            )
        done = 0
        while done < len(rows):
            chunk, filled = divmod(self.n_rows, self.chunk_rows)
            part = rows[done : done + self.chunk_rows - filled]
            self._write(chunk, np.ascontiguousarray(part, dtype=self.dtype).tobytes(), new=filled == 0)
            done += len(part)
            self.n_rows += len(part)

    def close(self) -> list[int]:
        """Pad the last of several chunks; return the CRC-32 of each chunk file."""
        missing = -self.n_rows % self.chunk_rows
        if self.n_rows > self.chunk_rows and missing:
            row_bytes = self.dtype.itemsize * math.prod(self.row_shape)
            self._write(self.n_rows // self.chunk_rows, bytes(missing * row_bytes), new=False)
        return self._checksums

    def _write(self, chunk: int, data: bytes, *, new: bool) -> None:
        path = chunk_path(self._folder, chunk, n_axes=1 + len(self.row_shape))
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._checksums.append(0)
        with path.open("wb" if new else "ab") as stream:
            stream.write(data)
        self._checksums[chunk] = zlib.crc32(data, self._checksums[chunk])
