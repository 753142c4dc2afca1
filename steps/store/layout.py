"""What writing and reading agree on beyond zarr's own format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["CHECKSUMS", "chunk_path"]

# The attribute of an array that holds the CRC-32 of each of its chunks.
CHECKSUMS: Final = "crc32"


def chunk_path(folder: Path, chunk: int, *, n_axes: int) -> Path:
    """Where zarr v3 keeps a chunk: ``c/<row chunk>/0/0`` for three axes."""
    return folder.joinpath("c", str(chunk), *["0"] * (n_axes - 1))
