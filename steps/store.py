"""Rows of numbers in zarr v3, written once and read at random at the speed of memory.

A store is a plain zarr v3 group on disk that ``zarr.open`` reads. Its chunks are uncompressed and hold whole rows, so
that each chunk file *is* an array and can be memory-mapped: random rows then cost a copy, where zarr's own indexing
costs a hundred times more (``benchmarks/store.py``). Each chunk's CRC-32 is kept in the array's attributes and checked
when the array is opened, so that a damaged disk or a half-copied folder is found at the start and not as odd losses.
"""

from __future__ import annotations

import json
import math
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import StorageError

__all__ = ["RowArray", "RowReader", "RowWriter"]

Array = npt.NDArray[Any]

# A few thousand rows where rows are small; less where a chunk would be a burden to copy or to check.
_CHUNK_ROWS: Final = 4096
_CHUNK_BYTES: Final = 64 * 2**20
# With fewer rows wanted of each chunk than this, their bytes are strung together sooner than copied chunk by chunk.
_ROWS_PER_CHUNK: Final = 8
_CHECKSUMS: Final = "crc32"
_MAKE_AGAIN: Final = "Delete it and run the stage that makes it again"


class RowWriter:
    """Writes a store, beside its place, and puts it there when all went well.

    Used as a context manager; leaving it by an exception leaves nothing behind. Rows may come in blocks of any size.

    Args:
        folder: the store; replaced if it exists.
        chunk_rows: rows in a chunk file; None: 4096, or as many as fill 64 MiB.

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
            chunk_rows = self._chunk_rows or max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // row_bytes))
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
                attributes={**array.attributes, _CHECKSUMS: checksums},
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
        path = _chunk_path(self._folder, chunk, n_axes=1 + len(self.row_shape))
        if new:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._checksums.append(0)
        with path.open("wb" if new else "ab") as stream:
            stream.write(data)
        self._checksums[chunk] = zlib.crc32(data, self._checksums[chunk])


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
        checksums = self.attributes.get(_CHECKSUMS, [])
        if len(checksums) != n_chunks:
            raise StorageError(
                f"{folder} is damaged", got=f"{len(checksums)} checksums", expected=n_chunks, hint=_MAKE_AGAIN
            )
        self._chunks = [
            _open_chunk(_chunk_path(folder, i, n_axes=len(self.shape)), shape=chunk_shape, dtype=self.dtype, crc=crc)
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
        if 0 < len(wanted) < _ROWS_PER_CHUNK * len(self._chunks):
            size = self.dtype.itemsize * math.prod(self.shape[1:])
            starts = zip(chunk_of.tolist(), (row_of * size).tolist(), strict=True)
            joined = bytearray().join([self._bytes[chunk][start : start + size] for chunk, start in starts])
            return np.frombuffer(joined, self.dtype).reshape(len(wanted), *self.shape[1:])
        out = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        for chunk in np.unique(chunk_of):
            where = np.flatnonzero(chunk_of == chunk)
            out[where] = self._chunks[chunk][row_of[where]]
        return out

    def all(self) -> Array:
        """A copy of all rows, ``[n_rows, *row]``: for labels, not for audio."""
        return self.rows(np.arange(len(self)))


def _chunk_path(folder: Path, chunk: int, *, n_axes: int) -> Path:
    """Where zarr v3 keeps a chunk: ``c/<row chunk>/0/0`` for three axes."""
    return folder.joinpath("c", str(chunk), *["0"] * (n_axes - 1))


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
