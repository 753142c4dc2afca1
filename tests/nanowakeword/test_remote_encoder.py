"""A stream's messages: whatever their size, what they carry is the stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from nanowakeword.arrays import Samples
from nanowakeword.card import ModelCard
from nanowakeword.graph import Graph
from nanowakeword.onnx_card import read_card
from nanowakeword.remote_encoder import AudioEncoder, Encoder, FeatureEncoder, front_ends
from nanowakeword.timing import HOP_SAMPLES
from nanowakeword.v1 import wakeword_pb2 as pb
from tests.tiny_model import tiny_card, tiny_proto, write_tiny_model

# Limits of a server, bytes, that cut after 1, 2 and all hops of the model's features (8 bytes a hop) and of audio.
LIMITS = [(1, 1), (2 * 2_560 + 1, 2 * 8 + 1), (65_536, 65_536)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A model whose features remember: their second column is the mean of four hops."""
    proto = tiny_proto()
    nodes = proto.graph.node
    packed = next(node for node in nodes if node.output[0] == "features")
    nodes.remove(packed)
    nodes.append(helper.make_node("Unsqueeze", ["mean", "last_axis"], ["mean_2"]))
    nodes.append(helper.make_node("Concat", ["amplitude_1", "mean_2"], ["features"], axis=2))
    path = tmp_path_factory.mktemp("models") / "beep.onnx"
    path.write_bytes(proto.SerializeToString())
    return Graph.load(path)


@pytest.fixture(scope="module")
def audio() -> Samples:
    return np.random.default_rng(3).integers(-20_000, 20_000, 23 * HOP_SAMPLES).astype(np.int16)


def messages(encoder: Encoder, audio: Samples, limits: tuple[int, int]) -> list[pb.DetectRequest]:
    opened = pb.StreamOpened(max_audio_bytes=limits[0], max_features_bytes=limits[1])
    pieces = np.split(audio, np.cumsum([1, 5, 2, 11]) * HOP_SAMPLES)
    return [message for piece in pieces for message in encoder.encode(piece, opened)]


@pytest.mark.parametrize("limits", LIMITS)
def test_audio(audio: Samples, limits: tuple[int, int]) -> None:
    chunks = [message.audio for message in messages(AudioEncoder(), audio, limits)]
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert max(len(chunk.pcm_s16le) for chunk in chunks) <= max(limits[0], 2_560)
    assert b"".join(chunk.pcm_s16le for chunk in chunks) == audio.astype("<i2").tobytes()


@pytest.mark.parametrize("limits", LIMITS)
def test_features(graph: Graph, audio: Samples, limits: tuple[int, int]) -> None:
    chunks = [message.features for message in messages(FeatureEncoder(graph), audio, limits)]
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert max(len(chunk.f32le) for chunk in chunks) <= max(limits[1], 8)
    sent = np.concatenate([np.frombuffer(chunk.f32le, "<f4").reshape(chunk.rows, 2) for chunk in chunks])
    _, _, expected = graph.run(audio[None], graph.zero_state())
    np.testing.assert_allclose(sent, expected[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (None, []),
        (
            [{"name": "logmel", "fingerprint": "ab"}, {"name": "hubert", "fingerprint": "cd"}],
            ["logmel:ab", "hubert:cd"],
        ),
        ([{"name": "logmel"}], ["logmel"]),
        (["logmel"], [""]),
    ],
)
def test_front_ends_as_the_protocol_writes_them(tmp_path: Path, rows: Any, expected: list[str]) -> None:
    card: ModelCard = read_card(write_tiny_model(tmp_path / "beep.onnx", tiny_card(frontends=rows)))
    assert front_ends(card) == expected
