from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from nanowakeword.card import CARD_KEY
from nanowakeword.errors import AudioError, ConfigError, ModelError
from nanowakeword.graph import Graph
from nanowakeword.timing import HOP_SAMPLES
from tests.tiny_model import FULL_SCORE_AMPLITUDE, silence, tiny_card, tiny_proto, tone


def test_scores_states_and_features_of_a_known_tone(tiny: Graph) -> None:
    audio = np.stack([tone(0.4, amplitude=4096), silence(0.4)])
    score, state, features = tiny.run(audio, tiny.zero_state(2))
    assert score.shape == (2, 5)
    assert state.shape == (2, 3)
    assert features.shape == (2, 5, 2)
    np.testing.assert_allclose(score[0], [0.125, 0.25, 0.375, 0.5, 0.5], atol=1e-4)
    np.testing.assert_array_equal(score[1], 0)
    np.testing.assert_array_equal(state[1], 0)
    assert (tiny.frames_per_hop, tiny.n_features) == (1, 2)
    assert tiny.n_bytes == tiny.path.stat().st_size
    assert tiny.card.phrase == "beep"


def test_pieces_of_hops_give_what_the_whole_gives(tiny: Graph) -> None:
    rng = np.random.default_rng(5)
    audio = rng.integers(-20_000, 20_000, (3, 12 * HOP_SAMPLES)).astype(np.int16)
    whole, last, _ = tiny.run(audio, tiny.zero_state(3))
    state, parts = tiny.zero_state(3), []
    for piece in np.split(audio, [1280, 3 * 1280, 8 * 1280], axis=1):
        score, state, _ = tiny.run(np.ascontiguousarray(piece), state)
        parts.append(score)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    np.testing.assert_array_equal(state, last)


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((1, 1280), np.float32),
        np.zeros((1, 1280), np.int32),
        np.zeros(1280, np.int16),
        np.zeros((1, 1279), np.int16),
        np.zeros((1, 0), np.int16),
        np.zeros((0, 1280), np.int16),
    ],
)
def test_audio_of_another_kind_is_refused(tiny: Graph, audio: Any) -> None:
    with pytest.raises(AudioError, match=r"audio for a model; got .* expected int16 \[b, 1280\*k\]"):
        tiny.run(audio, tiny.zero_state())


@pytest.mark.parametrize("state", [np.zeros((1, 4), np.float32), np.zeros((2, 3), np.float32), np.zeros((1, 3))])
def test_a_state_of_another_kind_is_refused(tiny: Graph, state: Any) -> None:
    with pytest.raises(ConfigError, match=r"state for a model; got .* expected float32 \[1, 3\]"):
        tiny.run(np.zeros((1, 1280), np.int16), state)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"<html></html>", "a web page"),
        (b"PK\x03\x04" + bytes(100), "a zip archive or a PyTorch checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(100), "a TensorFlow Lite model"),
        (b"RIFF\x24\x00\x00\x00WAVE", "a WAV file"),
        (b"some words", "not ONNX, or cut short, or damaged"),
        (bytes(1000), "not ONNX, or cut short, or damaged"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        Graph.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        Graph.load(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        Graph.load(tmp_path)
    with pytest.raises(ModelError, match="cannot read model"):
        Graph.load(str(tmp_path / ("x" * 300)))


def foreign(model: ModelProto) -> None:
    del model.metadata_props[:]


def rename_audio(model: ModelProto) -> None:
    model.graph.input[0].name = "pcm"
    for node in model.graph.node:
        node.input[:] = ["pcm" if name == "audio" else name for name in node.input]


def heads_only(model: ModelProto) -> None:
    rename_audio(model)
    set_card(model, kind="heads")


def float_audio(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def shapeless_audio(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1


def no_features(model: ModelProto) -> None:
    del model.graph.output[2]


def other_state(model: ModelProto) -> None:
    set_card(model, state_size=4)


def free_state(model: ModelProto) -> None:
    for port in (model.graph.input[1], model.graph.output[1]):
        port.type.tensor_type.shape.dim[1].dim_param = "any"


def score_above_one(model: ModelProto) -> None:
    for constant in model.graph.initializer:
        if constant.name in {"zero", "one"}:
            constant.raw_data = np.float32(2).tobytes()


def no_number(model: ModelProto) -> None:
    for constant in model.graph.initializer:
        if constant.name == "full":
            constant.raw_data = np.float32(0).tobytes()


def fails_when_run(model: ModelProto) -> None:
    for constant in model.graph.initializer:
        if constant.name == "hops_shape":
            constant.raw_data = np.array([0, 3, 1, HOP_SAMPLES], np.int64).tobytes()


def cut_score(model: ModelProto) -> None:
    # The last hop's score is dropped.
    for node in model.graph.node:
        if node.op_type == "Clip":
            node.output[0] = "all_scores"
    model.graph.initializer.extend(
        [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("from", 0), ("to", -1))]
    )
    model.graph.node.append(helper.make_node("Slice", ["all_scores", "from", "to", "time"], ["score"]))


def set_card(model: ModelProto, **changes: Any) -> None:
    del model.metadata_props[:]
    model.metadata_props.add(key=CARD_KEY, value=json.dumps(tiny_card(**changes)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (foreign, "not a model of ours; got an ONNX file without a model card and with the inputs audio, state"),
        (rename_audio, "got inputs pcm, state; expected audio, state"),
        (heads_only, "only the head of a detector.*Use the detector's file"),
        (float_audio, r"got audio tensor\(float\)"),
        (shapeless_audio, "got audio|cannot load"),
        (no_features, "got outputs score, next_state; expected score, next_state, features"),
        (other_state, "got a state of 3; expected 4"),
        (free_state, "got a state of any; expected 3"),
        (score_above_one, "a score outside of 0 to 1"),
        (no_number, "a score outside of 0 to 1"),
        (fails_when_run, "does not run"),
        (cut_score, r"got score \[2, 1\]; expected \[2, 2\]"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(
    tmp_path: Path, damage: Callable[[ModelProto], None], message: str
) -> None:
    model = tiny_proto()
    damage(model)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=message):
        Graph.load(path)


def test_a_newer_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_proto(tiny_card(schema_version=9)).SerializeToString())
    with pytest.raises(ModelError, match="newer than this NanoWakeword"):
        Graph.load(path)


def test_damaged_files_never_raise_anything_else(
    tmp_path: Path, tiny_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = tiny_path.read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / "m.onnx"
    messages: list[str] = []
    for round_ in range(400):
        data = bytearray(whole)
        at = int(rng.integers(len(data)))
        if round_ % 4 == 0:
            del data[at:]
        elif round_ % 4 == 1:
            data[at] ^= 1 << int(rng.integers(8))
        elif round_ % 4 == 2:
            del data[at : at + int(rng.integers(1, 64))]
        else:
            data[at:at] = rng.bytes(int(rng.integers(1, 16)))
        path.write_bytes(data)
        try:
            Graph.load(path)
        except ModelError as error:
            messages.append(str(error))
    # A flipped bit among the weights leaves a model that runs.
    assert len(messages) > 200
    assert all(str(path) in message and "\n" not in message for message in messages)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_every_cut_of_the_file_is_noticed(tmp_path: Path, tiny_path: Path) -> None:
    whole = tiny_path.read_bytes()
    path = tmp_path / "m.onnx"
    for size in np.linspace(0, len(whole) - 1, 100).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError):
            Graph.load(path)


def test_full_score(tiny: Graph) -> None:
    score, _, _ = tiny.run(tone(0.8, amplitude=FULL_SCORE_AMPLITUDE * 2)[None], tiny.zero_state())
    assert score[0, -1] == 1.0
