"""Rows of numbers in zarr v3, written once and read at random at the speed of memory.

A store is a plain zarr v3 group on disk that ``zarr.open`` reads. Its chunks are uncompressed and hold whole rows, so
that each chunk file *is* an array and can be memory-mapped: random rows then cost a copy, where zarr's own indexing
costs a hundred times more (``benchmarks/store.py``). Each chunk's CRC-32 is kept in the array's attributes and checked
when the array is opened, so that a damaged disk or a half-copied folder is found at the start and not as odd losses.
"""

from steps.store.reading import RowArray, RowReader
from steps.store.writing import RowWriter

__all__ = ["RowArray", "RowReader", "RowWriter"]
