from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError, ModelError, StorageError
from nanowakeword.graph import Graph
from nanowakeword.logistic import Doubles
from nanowakeword.owner import OwnerVerifier
from nanowakeword.timing import HOP_SAMPLES
from nanowakeword.voiceprint import find_phrase, hop_scores, utterance
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model


def beep(seed: int, *, hiss: float, amplitude: int = 7_000) -> Samples:
    """The phrase of the tiny model, said by somebody whose voice hisses."""
    random = np.random.default_rng(seed)
    phrase = np.concatenate([silence(random.uniform(0.5, 2.5)), tone(0.7, amplitude=amplitude), silence(0.3)])
    return np.clip(phrase + random.normal(0, hiss, len(phrase)), -32_768, 32_767).astype(np.int16)


def heard(graph: Graph, clip: Samples) -> Samples:
    """What was heard when the model fired."""
    hop = find_phrase(hop_scores(graph, clip), threshold=graph.card.threshold)
    assert hop is not None
    return clip[: (hop + 1) * HOP_SAMPLES]


def prints(graph: Graph, clips: Sequence[Samples]) -> list[Doubles]:
    """Voiceprints of recordings of the phrase."""
    return [utterance(graph, clip, len(heard(graph, clip)) // HOP_SAMPLES - 1) for clip in clips]


def log_odds(verifier: OwnerVerifier, row: Doubles) -> float:
    return float(row @ verifier.weights + verifier.bias)


OWNER = [beep(seed, hiss=2_500 + 60 * seed) for seed in range(6)]
OTHERS = [beep(seed, hiss=100 + 60 * seed) for seed in range(6, 12)]
SPEECH = [np.random.default_rng(seed).normal(0, 300, 48_000).astype(np.int16) for seed in range(5)]


@pytest.fixture(scope="module")
def verifier(tiny: Graph) -> OwnerVerifier:
    return OwnerVerifier.enrol(tiny, OWNER, [*OTHERS, *SPEECH])


@pytest.fixture
def saved(verifier: OwnerVerifier, tmp_path: Path) -> Path:
    verifier.save(tmp_path / "owner.json")
    return tmp_path / "owner.json"


def test_the_owner_passes_and_others_do_not(verifier: OwnerVerifier) -> None:
    assert all(
        verifier.score(heard(verifier.graph, beep(seed, hiss=2_600))) >= verifier.threshold for seed in range(50, 60)
    )
    assert all(
        verifier.score(heard(verifier.graph, beep(seed, hiss=500))) < verifier.threshold for seed in range(50, 60)
    )


def test_recordings_left_out_pass_too(verifier: OwnerVerifier) -> None:
    assert len(verifier.left_out) == len(OWNER)
    assert min(verifier.left_out) >= verifier.threshold
    # They are judged by verifiers that do not know them, and so are less sure.
    known = [np.mean([log_odds(verifier, row) for row in rows]) for rows in prints(verifier.graph, OWNER)]
    left_out = np.array(verifier.left_out)
    assert np.log(left_out / (1 - left_out))[0] < known[0] - 0.1
    assert verifier.speakers == len(OTHERS)


def test_other_speech_alone_is_enough_to_enrol(tiny: Graph) -> None:
    verifier = OwnerVerifier.enrol(tiny, OWNER, SPEECH)
    assert verifier.speakers == 0
    assert all(verifier.score(heard(verifier.graph, clip)) >= verifier.threshold for clip in OWNER)
    assert verifier.score(SPEECH[0]) < verifier.threshold


def test_without_other_people_the_threshold_is_two_deviations_down(tiny: Graph) -> None:
    verifier = OwnerVerifier.enrol(tiny, OWNER, SPEECH)
    odds = np.log(np.array(verifier.left_out) / (1 - np.array(verifier.left_out)))
    assert np.log(verifier.threshold / (1 - verifier.threshold)) == pytest.approx(odds.mean() - 2 * odds.std(ddof=1))


def test_the_phrase_may_be_anywhere_in_a_recording(tiny: Graph) -> None:
    shifted = [np.concatenate([silence(0.08 * (index + 1)), clip]) for index, clip in enumerate(OWNER)]
    one, other = (OwnerVerifier.enrol(tiny, clips, OTHERS) for clips in (OWNER, shifted))
    np.testing.assert_allclose(one.weights, other.weights, rtol=0.1, atol=0.1 * np.abs(one.weights).max())


def test_enrolling_twice_gives_the_same_bytes(tiny: Graph, verifier: OwnerVerifier, tmp_path: Path) -> None:
    for name, item in (("a", verifier), ("b", OwnerVerifier.enrol(tiny, OWNER, [*OTHERS, *SPEECH]))):
        item.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_only_the_last_window_counts_and_silence_is_before_a_short_one(verifier: OwnerVerifier) -> None:
    window = heard(verifier.graph, OWNER[0])[-verifier.window_samples :]
    assert verifier.window_samples == 32_000
    assert verifier.score(np.concatenate([tone(1.0), window])) == verifier.score(window)
    short = window[-16_000:]
    assert verifier.score(short) == verifier.score(np.concatenate([silence(1.0), short]))
    assert 0.0 <= verifier.score(np.zeros(0, np.int16)) < verifier.threshold


def test_audio_that_cannot_be_scored(verifier: OwnerVerifier) -> None:
    with pytest.raises(AudioError, match="expected int16"):
        verifier.score(np.zeros(10, np.float32))


def test_recordings_past_the_bounds_are_thinned_out_evenly(tiny: Graph) -> None:
    owner, speakers = prints(tiny, OWNER), prints(tiny, OTHERS)
    many = [speakers[index % 6] + index for index in range(119)]
    one = OwnerVerifier.learn(tiny, owner=owner, speakers=many, others=[])
    other = OwnerVerifier.learn(tiny, owner=owner, speakers=[*many[:-1:2], many[-1]], others=[])
    np.testing.assert_array_equal(one.weights, other.weights)


def test_the_owner_counts_as_much_as_all_others(tiny: Graph) -> None:
    owner, speakers = prints(tiny, OWNER), prints(tiny, OTHERS)[:3]
    one = OwnerVerifier.learn(tiny, owner=owner, speakers=speakers, others=[])
    swapped = OwnerVerifier.learn(tiny, owner=speakers, speakers=owner, others=[])
    np.testing.assert_allclose(one.weights, -swapped.weights, rtol=1e-4)
    assert one.bias == pytest.approx(-swapped.bias, rel=1e-4)


def test_where_the_features_have_their_zero_changes_nothing(tiny: Graph) -> None:
    owner, speakers = prints(tiny, OWNER), prints(tiny, OTHERS)
    one = OwnerVerifier.learn(tiny, owner=owner, speakers=speakers, others=[])
    far = OwnerVerifier.learn(tiny, owner=[p + 1e4 for p in owner], speakers=[p + 1e4 for p in speakers], others=[])
    assert log_odds(far, owner[0][0] + 1e4) == pytest.approx(log_odds(one, owner[0][0]), abs=0.01)


@pytest.mark.parametrize(
    ("positives", "negatives", "options", "error", "message"),
    [
        (OWNER[:2], OTHERS, {}, AudioError, "too few recordings of the owner; got 2; expected 3, better 5 to 10"),
        (OWNER, OTHERS[:2], {}, AudioError, "too few recordings of others; got 2"),
        ([*OWNER[:3], SPEECH[0]], OTHERS, {}, AudioError, "does not hear 'beep' in recording 4 of the owner"),
        (OWNER, OTHERS, {"model_threshold": 0.99}, AudioError, "does not hear 'beep' in recording 1"),
        (OWNER, OTHERS, {"model_threshold": 1.5}, ConfigError, "bad threshold; got 1.5"),
        (OWNER, [clip / 32_768 for clip in OTHERS], {}, AudioError, "expected int16"),
    ],
)
def test_what_cannot_be_enrolled(
    tiny: Graph, positives: Any, negatives: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        OwnerVerifier.enrol(tiny, positives, negatives, **options)


def test_a_file_keeps_everything(tiny: Graph, verifier: OwnerVerifier, saved: Path) -> None:
    loaded = OwnerVerifier.load(saved, tiny)
    for clip in [*OWNER, *OTHERS]:
        assert loaded.score(heard(verifier.graph, clip)) == verifier.score(heard(verifier.graph, clip))
    assert (loaded.threshold, loaded.phrase, loaded.speakers) == (verifier.threshold, "beep", 6)
    assert loaded.left_out == pytest.approx(verifier.left_out)
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(verifier: OwnerVerifier, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        verifier.save(tmp_path / "missing" / "owner.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        verifier.save(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def graph_of(tmp_path: Path, **changes: Any) -> Graph:
    return Graph.load(write_tiny_model(tmp_path / "other.onnx", tiny_card(**changes)))


def test_a_verifier_belongs_to_a_phrase_and_to_front_ends(saved: Path, tmp_path: Path) -> None:
    other_phrase = graph_of(tmp_path, phrase="boop", name="boop")
    with pytest.raises(ModelError, match="is for another phrase; got 'beep'; expected 'boop'"):
        OwnerVerifier.load(saved, other_phrase)
    assert OwnerVerifier.load(saved, other_phrase, phrase="beep").phrase == "beep"
    front_end = {"fingerprint": "0123", "frames_per_hop": 1, "n_features": 2}
    with pytest.raises(
        ModelError, match=r"does not fit .*other.onnx; got .* 'beep', which has other front ends. Enrol"
    ):
        OwnerVerifier.load(saved, graph_of(tmp_path, frontends=[front_end]))
    assert OwnerVerifier.load(saved, graph_of(tmp_path, name="later")).speakers == 6


def change(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: {**content, **changes}


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "list": (lambda content: [content], "no owner's verifier, or damaged"),
    "format": (change(format="other"), "no owner's verifier"),
    "newer": (change(version=2), "is newer than this NanoWakeword; got version 2; expected at most 1"),
    "version": (change(version="1"), "damaged at 'version'; got '1'; expected a whole number"),
    "phrase": (change(phrase=None), "damaged at 'phrase'; got None; expected text"),
    "fingerprints": (change(fingerprints=[1]), "damaged at 'fingerprints'"),
    "true": (change(n_features=True), "damaged at 'n_features'"),
    "features": (change(n_features=3), "which has other front ends"),
    "weights short": (lambda content: {**content, "weights": content["weights"][:-1]}, "expected 4 numbers"),
    "weights text": (change(weights=["1", 2, 3, 4]), "damaged at 'weights'"),
    "weights nan": (change(weights=[float("nan"), 2, 3, 4]), "damaged at 'weights'"),
    "weights huge": (change(weights=[1e39, 2, 3, 4]), "damaged at 'weights'"),
    "weights integer": (change(weights=[10**400, 2, 3, 4]), "damaged at 'weights'"),
    "weights none": (change(weights=None), "damaged at 'weights'"),
    "bias": (change(bias=float("inf")), "damaged at 'bias'; got inf; expected a number"),
    "threshold": (change(threshold=1.5), "damaged at 'threshold'; got 1.5; expected 0 to 1"),
    "left out": (change(left_out="all"), "damaged at 'left_out'"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_told(name: str, saved: Path, tiny: Graph) -> None:
    damage, message = DAMAGE[name]
    saved.write_text(json.dumps(damage(json.loads(saved.read_text()))))
    with pytest.raises(ModelError, match=message):
        OwnerVerifier.load(saved, tiny)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe\x00", b"PK\x03\x04", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 9_999, b" " * (2 << 20)],
    ids=["empty", "cut", "no text", "zip", "nested", "nested objects", "number", "large"],
)
def test_files_that_are_something_else(data: bytes, tmp_path: Path, tiny: Graph) -> None:
    (tmp_path / "owner.json").write_bytes(data)
    with pytest.raises(ModelError, match="no owner's verifier, or damaged"):
        OwnerVerifier.load(tmp_path / "owner.json", tiny)


def test_files_that_are_not_there(tmp_path: Path, tiny: Graph) -> None:
    with pytest.raises(ModelError, match=r"no owner's verifier at .*nothing\.json\. Make one"):
        OwnerVerifier.load(tmp_path / "nothing.json", tiny)
    with pytest.raises(ModelError, match="cannot read"):
        OwnerVerifier.load(tmp_path, tiny)


def test_no_more_of_a_file_is_read_than_its_bound(saved: Path, tiny: Graph) -> None:
    OwnerVerifier.load(saved, tiny)
    with saved.open("a") as file:
        file.write(" " * (1 << 20))
    with pytest.raises(ModelError, match="no owner's verifier"):
        OwnerVerifier.load(saved, tiny)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_file_gives_anything_but_a_verifier_or_that_error(
    data: st.DataObject, verifier: OwnerVerifier, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    verifier.save(path)
    if data.draw(st.booleans()):
        content = json.loads(path.read_text())
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(json_values)
        path.write_text(json.dumps(content))
    else:
        raw = bytearray(path.read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=5)):
            raw[place] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        loaded = OwnerVerifier.load(path, verifier.graph)
    except ModelError:
        return
    assert 0.0 <= loaded.score(heard(verifier.graph, OWNER[0])) <= 1.0


def test_verifiers_are_values_that_can_be_adjusted(verifier: OwnerVerifier) -> None:
    assert replace(verifier, threshold=0.5).threshold == 0.5
