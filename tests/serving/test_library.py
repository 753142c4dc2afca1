"""Models come, change and go while the server runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nanowakeword.errors import ConfigError, ModelError
from serving import library as library_module
from serving.config import ServerConfig
from serving.errors import UnknownModelError
from serving.library import Library
from tests.serving.running import wait_for
from tests.tiny_model import tiny_card, write_tiny_head, write_tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "watched"
    path.mkdir()
    return path


@pytest.fixture
def open_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Library]]:
    """Makes libraries that look when they are told."""
    monkeypatch.setattr(library_module, "_LOOK_S", 1_000.0)
    opened: list[Library] = []

    def make(*models: Path, **settings: Any) -> Library:
        opened.append(Library(ServerConfig(models=models, **settings)))
        return opened[-1]

    yield make
    for library in opened:
        library.close()


def put(path: Path, name: str, *, head: bool = False, **changes: Any) -> Path:
    """Write a model as one should: beside, then renamed."""
    beside = path.with_name(f".{path.name}.part")
    card = tiny_card(name=name, **changes)
    write_tiny_model(beside, card)
    if head:
        write_tiny_head(path, card)
    beside.replace(path)
    return path


def names(library: Library) -> list[str]:
    return [model.name for model in library.models]


def test_models_come_change_and_go(folder: Path, tmp_path: Path, open_library: Callable[..., Library]) -> None:
    named = put(tmp_path / "named.onnx", "named")
    library = open_library(named, model_dir=folder)
    before = library.models
    library.look()
    assert (names(library), library.models, library.generation) == (["named"], before, 0), "nothing has changed"
    put(folder / "b.onnx", "bee")
    put(folder / "a.onnx", "ay", head=True)
    library.look()
    assert names(library) == ["named", "ay", "bee"], "the default one first, then by file"
    assert library.find("") is library.models[0]
    assert library.find("ay").heads is not None, "its head file is a part of it and no model of its own"
    old = library.find("bee")
    put(folder / "b.onnx", "bee", threshold=0.5)
    library.look()
    assert (library.find("bee").threshold, old.threshold) == (0.5, 0.75)
    assert library.find("ay") is library.models[1], "what has not changed is not loaded again"
    generation = library.generation
    (folder / "b.onnx").unlink()
    library.look()
    assert (names(library), library.generation) == (["named", "ay"], generation + 1)
    with pytest.raises(UnknownModelError, match="got 'bee'; expected named, ay"):
        library.find("bee")


def test_a_damaged_file_is_reported_once_and_the_old_one_stays(
    folder: Path, open_library: Callable[..., Library], caplog: pytest.LogCaptureFixture
) -> None:
    path = put(folder / "a.onnx", "ay")
    library = open_library(model_dir=folder)
    old = library.find("ay")
    path.write_bytes(b"PK\x03\x04 not a model")
    (folder / "b.onnx").write_bytes(b"")
    caplog.set_level(logging.WARNING)
    library.look()
    library.look()
    assert library.find("ay") is old
    first, second = (record.getMessage() for record in caplog.records)
    assert "a.onnx is not served (its earlier version still is): " in first
    assert "b.onnx is not served: " in second
    put(path, "ay", threshold=0.9)
    library.look()
    assert library.find("ay").threshold == 0.9


def test_a_head_file_that_comes_later_makes_it_another_model(
    folder: Path, open_library: Callable[..., Library]
) -> None:
    path = put(folder / "a.onnx", "ay")
    library = open_library(model_dir=folder)
    assert library.find("ay").heads is None
    write_tiny_head(path, tiny_card(name="ay"))
    library.look()
    assert library.find("ay").heads is not None


def test_a_copy_that_keeps_the_times_of_another_file(folder: Path, open_library: Callable[..., Library]) -> None:
    path = put(folder / "a.onnx", "ay", threshold=0.75)
    library = open_library(model_dir=folder)
    status = path.stat()
    other = put(folder.parent / "other.onnx", "ay", threshold=0.25)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (status.st_mtime_ns, status.st_size)
    library.look()
    assert library.find("ay").threshold == 0.25


def test_two_files_of_one_name(
    folder: Path, open_library: Callable[..., Library], caplog: pytest.LogCaptureFixture
) -> None:
    put(folder / "a.onnx", "ay")
    library = open_library(model_dir=folder)
    put(folder / "b.onnx", "ay", threshold=0.5)
    library.look()
    assert [model.threshold for model in library.models] == [0.75]
    assert "two models with one name; got 'ay'" in caplog.text


def test_a_named_file_is_replaced_and_outlives_its_file(tmp_path: Path, open_library: Callable[..., Library]) -> None:
    path = put(tmp_path / "named.onnx", "named")
    library = open_library(path)
    put(path, "named", threshold=0.5)
    library.look()
    assert library.find("").threshold == 0.5
    path.unlink()
    library.look()
    assert library.find("named").threshold == 0.5


def test_what_cannot_be_served_at_the_start(folder: Path, tmp_path: Path, open_library: Callable[..., Library]) -> None:
    with pytest.raises(ConfigError, match="no model to serve; got none in"):
        open_library(model_dir=folder)
    with pytest.raises(ModelError, match="no model at"):
        open_library(tmp_path / "missing.onnx")
    (folder / "broken.onnx").write_bytes(b"")
    put(folder / "good.onnx", "good")
    assert names(open_library(model_dir=folder)) == ["good"], "a file of a folder is nobody's wish: the others serve"


def test_an_empty_folder_leaves_no_model(folder: Path, open_library: Callable[..., Library]) -> None:
    path = put(folder / "a.onnx", "ay")
    library = open_library(model_dir=folder)
    path.unlink()
    library.look()
    assert library.models == ()
    with pytest.raises(UnknownModelError, match="expected none at the moment"):
        library.find("")


def test_the_folder_is_watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "_LOOK_S", 0.02)
    path = put(folder / "a.onnx", "ay")
    library = Library(ServerConfig(model_dir=folder))
    try:
        put(path, "ay", threshold=0.5)
        wait_for(lambda: library.find("ay").threshold == 0.5)
        path.unlink()
        wait_for(lambda: not library.models)
    finally:
        library.close()
    generation = library.generation
    put(path, "ay")
    time.sleep(0.1)
    assert library.generation == generation, "closed, it looks no more"
