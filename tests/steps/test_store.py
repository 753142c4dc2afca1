"""The store reads what zarr reads, faster, and says so when it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.errors import StorageError
from steps.store import RowReader, RowWriter


def write(folder: Path, rows: Any, *, chunk_rows: int | None = None) -> Path:
    with RowWriter(folder, chunk_rows=chunk_rows) as store:
        store.append("train/x", rows)
    return folder


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_rows_equal_zarrs_own_indexing(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(1, 40))
    row_shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=2)))
    dtype = data.draw(st.sampled_from(["int8", "int16", "int32", "float16", "float32"]))
    chunk_rows = data.draw(st.integers(1, 50))
    cuts = sorted(data.draw(st.lists(st.integers(0, n_rows), max_size=4)))
    indices = data.draw(st.lists(st.integers(0, n_rows - 1), max_size=60))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    # Zeros too: zarr itself leaves out chunks that are all fill value.
    rows = rng.integers(-99, 99, (n_rows, *row_shape)).astype(dtype) * (rng.random() < 0.8)
    rows = rows.astype(dtype)

    folder = tmp_path_factory.mktemp("store") / "a.zarr"
    with RowWriter(folder, chunk_rows=chunk_rows) as store:
        for start, end in zip([0, *cuts], [*cuts, n_rows], strict=True):
            store.append("deep/group/x", rows[start:end])
    ours = RowReader(folder)["deep/group/x"]
    theirs: Any = zarr.open_group(folder, mode="r")["deep/group/x"]

    assert (len(ours), ours.shape, ours.dtype) == (n_rows, rows.shape, rows.dtype)
    assert np.array_equal(theirs[...], rows)
    wanted = theirs.oindex[np.array(indices, dtype=int)] if indices else rows[:0]
    assert np.array_equal(ours.rows(indices), wanted)
    assert np.array_equal(ours.all(), rows)


def test_attributes_and_groups(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.zarr") as store:
        store.attributes[""]["made"] = "here"
        store.attributes["train"] = {"pools": ["a", "b"]}
        store.append("train/x", np.arange(3, dtype=np.int8), attributes={"fingerprint": "f"})
        store.append("train/x", np.arange(2, dtype=np.int8))
    whole, group = RowReader(tmp_path / "a.zarr"), RowReader(tmp_path / "a.zarr" / "train")
    assert whole.attributes == {"made": "here"}
    assert group.attributes == {"pools": ["a", "b"]}
    assert list(whole) == ["train/x"]
    assert list(group) == ["x"]
    assert group["x"].attributes["fingerprint"] == "f"
    assert group["x"].all().tolist() == [0, 1, 2, 0, 1]
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["train"].attrs["pools"] == ["a", "b"]


def test_empty_array(tmp_path: Path) -> None:
    array = RowReader(write(tmp_path / "a.zarr", np.zeros((0, 3), np.float32)))["train/x"]
    assert array.all().shape == (0, 3)


def test_a_writer_that_fails_leaves_the_old_store_and_nothing_else(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.zarr", np.arange(4))

    def fail() -> None:
        with RowWriter(folder) as store:
            store.append("train/x", np.arange(9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    assert len(RowReader(folder)["train/x"]) == 4


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.zarr") as store:
        store.append("x", np.zeros((1, 2), np.float32))
        with pytest.raises(StorageError, match=r"got float32 \[3\]; expected float32 \[2\]"):
            store.append("x", np.zeros((1, 3), np.float32))


def test_indices_out_of_range(tmp_path: Path) -> None:
    array = RowReader(write(tmp_path / "a.zarr", np.arange(5)))["train/x"]
    for wrong in ([5], [-1]):
        with pytest.raises(IndexError, match="of 5"):
            array.rows(wrong)


def test_unknown_array_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"no array 'y'.*train/x"):
        RowReader(write(tmp_path / "a.zarr", np.arange(5)))["y"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write(tmp_path / "a.zarr", np.arange(60, dtype=np.int16).reshape(20, 3), chunk_rows=8)


def test_a_changed_byte_is_found(store: Path) -> None:
    chunk = store / "train" / "x" / "c" / "1" / "0"
    data = bytearray(chunk.read_bytes())
    data[7] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(StorageError, match=r"c/1/0 is damaged.*checksum.*run the stage"):
        RowReader(store)["train/x"]


def test_a_short_chunk_is_found(store: Path) -> None:
    chunk = store / "train" / "x" / "c" / "2" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(StorageError, match="got 47 bytes; expected 48 bytes"):
        RowReader(store)["train/x"]


def test_a_missing_chunk_is_found(store: Path) -> None:
    (store / "train" / "x" / "c" / "0" / "0").unlink()
    with pytest.raises(StorageError, match="got no file"):
        RowReader(store)["train/x"]


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no store at"):
        RowReader(tmp_path)


def test_metadata_that_is_no_json(store: Path) -> None:
    (store / "zarr.json").write_text("{")
    with pytest.raises(StorageError, match=r"zarr\.json is damaged"):
        RowReader(store)


def test_metadata_of_another_chunking_is_refused(store: Path) -> None:
    file = store / "train" / "x" / "zarr.json"
    facts = json.loads(file.read_text())
    facts["codecs"].append({"name": "zstd", "configuration": {}})
    file.write_text(json.dumps(facts))
    with pytest.raises(StorageError, match="cannot be memory-mapped"):
        RowReader(store)["train/x"]
