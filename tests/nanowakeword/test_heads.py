"""Heads without front ends, and models that share theirs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword import Graph, NanoInterpreter
from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.heads import Heads, SharedHeads, load_sharing
from nanowakeword.scorer import LocalScorer
from nanowakeword.timing import HOP_SAMPLES
from tests.tiny_model import silence, tiny_card, tone, write_tiny_head, write_tiny_model

FRONTENDS = [{"name": "tone", "n_features": 2, "frames_per_hop": 1, "fingerprint": "0123456789abcdef"}]
AUDIO: Samples = np.concatenate([silence(0.4), tone(0.8), silence(0.4), tone(0.4, amplitude=4_000)])


def write_pair(folder: Path, name: str, *, weights: str | None = None, **changes: Any) -> Path:
    """``NAME.onnx`` and ``NAME_head.onnx``."""
    card = tiny_card(name=name, **{"frontends": FRONTENDS, "architecture": {"fingerprint": weights or name}, **changes})
    path = write_tiny_model(folder / f"{name}.onnx", card)
    write_tiny_head(path, {**card, "kind": "heads", "name": f"{name}_head"})
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [write_pair(tmp_path, "one"), write_pair(tmp_path, "two", threshold=0.3)]


def scores_of(scorer: LocalScorer, audio: Samples) -> dict[str, Floats]:
    (judged,) = scorer.feed(audio)
    return dict(judged.scores)


def test_heads_on_features_are_the_model_on_audio(paths: list[Path]) -> None:
    graph, heads = Graph.load(paths[0]), Heads.load(paths[0].with_name("one_head.onnx"))
    audio = AUDIO[None, : len(AUDIO) // HOP_SAMPLES * HOP_SAMPLES]
    score, _, features = graph.run(audio, graph.zero_state())
    assert heads.feature_shape == (1, 2)
    whole, _ = heads.run(features, heads.zero_state())
    np.testing.assert_allclose(whole, score, atol=1e-5)
    parts, state = [], heads.zero_state()
    for hop in range(features.shape[1]):
        part, state = heads.run(features[:, hop : hop + 1], state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), score, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(AUDIO) // HOP_SAMPLES), max_size=6))
def test_sharing_changes_no_score(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    folder = tmp_path_factory.mktemp("pair")
    paths = [write_pair(folder, "one"), write_pair(folder, "two")]
    models = load_sharing(paths)
    assert [type(model) for model in models] == [Graph, SharedHeads]
    shared = LocalScorer(models)
    alone = [LocalScorer([Graph.load(path)]) for path in paths]
    audio = AUDIO[: len(AUDIO) // HOP_SAMPLES * HOP_SAMPLES]
    edges = [0, *sorted(cuts), len(audio) // HOP_SAMPLES]
    for start, end in pairwise(edges):
        if start == end:
            continue
        piece = audio[start * HOP_SAMPLES : end * HOP_SAMPLES]
        wanted = {name: values for scorer in alone for name, values in scores_of(scorer, piece).items()}
        found = scores_of(shared, piece)
        assert found.keys() == wanted.keys() == {"one", "two"}
        for name, values in found.items():
            np.testing.assert_allclose(values, wanted[name], atol=1e-5)


def test_reset_resets_all(paths: list[Path]) -> None:
    scorer = LocalScorer(load_sharing(paths))
    before = scores_of(scorer, tone(0.08))
    scores_of(scorer, tone(0.8))
    scorer.reset()
    for name, values in scores_of(scorer, tone(0.08)).items():
        np.testing.assert_allclose(values, before[name])


def test_interpreter_shares(paths: list[Path]) -> None:
    interpreter = NanoInterpreter.load_model(paths)
    result = interpreter.predict(tone(0.4, amplitude=4_000))
    assert result.scores == pytest.approx({"one": 0.488, "two": 0.488}, abs=1e-3)
    assert [item.model for item in result.detections] == ["two"]
    assert interpreter.info["thresholds"] == {"one": 0.75, "two": 0.3}


@pytest.mark.parametrize(
    "changes",
    [
        {"frontends": [{**FRONTENDS[0], "fingerprint": "fedcba9876543210"}]},
        {"frontends": [{key: value for key, value in FRONTENDS[0].items() if key != "fingerprint"}]},
        {"architecture": {}},
    ],
    ids=["other front ends", "unknown front ends", "unknown weights"],
)
def test_what_cannot_be_shared_is_loaded_whole(tmp_path: Path, changes: dict[str, Any]) -> None:
    models = load_sharing([write_pair(tmp_path, "one"), write_pair(tmp_path, "two", **changes)])
    assert [type(model) for model in models] == [Graph, Graph]


def test_heads_of_an_earlier_export_are_not_used(tmp_path: Path) -> None:
    paths = [write_pair(tmp_path, "one"), write_pair(tmp_path, "two")]
    write_tiny_model(paths[1], tiny_card(name="two", frontends=FRONTENDS, architecture={"fingerprint": "newer"}))
    assert [type(model) for model in load_sharing(paths)] == [Graph, Graph]


def test_without_heads_beside(paths: list[Path]) -> None:
    paths[1].with_name("two_head.onnx").unlink()
    assert [type(model) for model in load_sharing(paths)] == [Graph, Graph]


def test_wrong_files(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="got inputs audio, state; expected features, state"):
        Heads.load(paths[0])
    with pytest.raises(ModelError, match="only the head of a detector"):
        Graph.load(paths[0].with_name("one_head.onnx"))
    with pytest.raises(ModelError, match="no model at"):
        Heads.load(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="no model at"):
        load_sharing([paths[0], tmp_path / "none.onnx"])


@pytest.mark.parametrize(
    "features",
    [
        np.zeros((1, 1, 3), np.float32),
        np.zeros((1, 2), np.float32),
        np.zeros((1, 1, 2)),
        np.zeros((1, 0, 2), np.float32),
    ],
    ids=["width", "rank", "type", "empty"],
)
def test_wrong_features(paths: list[Path], features: Any) -> None:
    heads = Heads.load(paths[0].with_name("one_head.onnx"))
    with pytest.raises(ConfigError, match="features for a model"):
        heads.run(features, heads.zero_state())
