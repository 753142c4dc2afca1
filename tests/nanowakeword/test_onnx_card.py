"""Reading a card by stepping over the fields of the file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanowakeword.errors import ModelError
from nanowakeword.graph import Graph
from nanowakeword.onnx_card import read_card
from tests.tiny_model import tiny_card, tiny_proto, write_tiny_model


def test_it_is_what_the_loaded_model_says(tiny: Graph) -> None:
    assert read_card(tiny.path) == tiny.card


def test_other_metadata_do_not_disturb(tmp_path: Path) -> None:
    model = tiny_proto(tiny_card(phrase="böller"))
    card = model.metadata_props.pop()
    model.metadata_props.add(key="note", value="nanowakeword.card")
    model.metadata_props.append(card)
    model.metadata_props.add(key="empty", value="")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert read_card(tmp_path / "m.onnx").phrase == "böller"


def test_without_a_card(tmp_path: Path) -> None:
    model = tiny_proto()
    del model.metadata_props[:]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="is not a model of ours; got no model card"):
        read_card(tmp_path / "m.onnx")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read model"):
        read_card(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="cannot read model"):
        read_card(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = write_tiny_model(tmp_path_factory.mktemp("fuzz") / "m.onnx")
    return path, path.read_bytes()


@given(data=st.data())
def test_damage_is_told_or_harmless(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    path, content = whole
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged))
    with contextlib.suppress(ModelError):
        read_card(path)


@given(content=st.binary(max_size=200))
def test_any_bytes(whole: tuple[Path, bytes], content: bytes) -> None:
    path, _ = whole
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_card(path)
