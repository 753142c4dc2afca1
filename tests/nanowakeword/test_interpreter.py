from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword import DetectionStream, Graph, NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError, ModelError
from nanowakeword.results import DetectionResult
from nanowakeword.timing import HOP_SAMPLES
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

BEEP: Samples = np.concatenate([silence(0.8), tone(0.8), silence(0.8)])


@pytest.fixture
def interpreter(tiny_path: Path) -> NanoInterpreter:
    return NanoInterpreter.load_model(tiny_path)


@pytest.fixture(scope="module")
def pair(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models with different thresholds."""
    other = tmp_path_factory.mktemp("other") / "o.onnx"
    return [tiny_path, write_tiny_model(other, tiny_card(name="other", phrase="boop", threshold=0.3))]


def hops(audio: Samples, size: int = HOP_SAMPLES) -> list[Samples]:
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def test_the_program_that_users_write(interpreter: NanoInterpreter) -> None:
    heard = 0
    for chunk in hops(BEEP):
        result = interpreter.predict(chunk)
        if result.score > 0.95:
            heard += 1
            interpreter.reset()
    assert heard == 2  # 0.32 s of the tone fill the window, and again after the reset


def test_detected_is_true_once_per_phrase_and_the_score_stays(interpreter: NanoInterpreter) -> None:
    results = [interpreter.predict(chunk) for chunk in hops(BEEP)]
    assert sum(result.detected for result in results) == 1
    assert sum(result.score > 0.75 for result in results) > 5
    (first,) = [result for result in results if result.detected]
    assert first.model_name == "beep"
    assert first.detections[0].end_s == pytest.approx(results.index(first) * 0.08 + 0.08)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 9_000))
def test_chunks_of_any_size_hear_what_a_stream_hears(tiny: Graph, size: int) -> None:
    interpreter = NanoInterpreter.load_model(tiny.path)
    heard = [item for chunk in hops(BEEP, size) for item in interpreter.predict(chunk).detections]
    assert heard == DetectionStream(tiny).feed(BEEP)
    assert len(heard) == 1


def test_score_is_the_highest_of_the_chunk(interpreter: NanoInterpreter) -> None:
    assert interpreter.predict(np.concatenate([tone(0.32), silence(0.96)])).score == pytest.approx(1.0, abs=1e-4)
    assert interpreter.predict(silence(0.08)).score == 0.0


def test_a_chunk_that_completes_no_hop_has_no_score(interpreter: NanoInterpreter) -> None:
    interpreter.predict(tone(0.4))
    for chunk in (np.zeros(0, np.int16), tone(0.07)):
        result = interpreter.predict(chunk)
        assert (result.score, result.detected, result.scores) == (0.0, False, {"beep": 0.0})
    assert interpreter.predict(tone(0.01)).score > 0.9


def test_patience_asks_for_hops_in_a_row(interpreter: NanoInterpreter) -> None:
    blip = np.concatenate([silence(0.8), tone(0.32), silence(0.8)])  # scores 1/4, 2/4, 3/4, 1, 3/4, 2/4, 1/4

    def count(patience: int) -> tuple[int, int]:
        results = interpreter.predict_clip(blip, threshold=0.45, patience=patience)
        return sum(result.detected for result in results), sum(result.score > 0.45 for result in results)

    assert count(1) == (1, 1)
    assert count(5) == (1, 1)
    assert count(6) == (0, 0)


def test_debounce_time_is_the_time_between_detections(interpreter: NanoInterpreter) -> None:
    def times(debounce_time: float) -> list[float]:
        results = interpreter.predict_clip(tone(6.0), debounce_time=debounce_time)
        return [item.end_s for result in results for item in result.detections]

    assert np.diff(times(2.4)) == pytest.approx([2.4, 2.4])
    assert np.diff(times(4.0)) == pytest.approx([4.0])
    assert len(times(0.0)) == 75 - 3
    assert np.diff(times(1.0)) == pytest.approx([1.04] * 5)


def test_hops_held_back_count_as_zero_and_raw_scores_tell_them(interpreter: NanoInterpreter) -> None:
    scores, raw_scores = [], []
    for chunk in hops(BEEP):
        result = interpreter.predict(chunk, debounce_time=2.0)
        scores.append(result.score)
        raw_scores.append(interpreter.raw_scores["beep"])
    assert sum(score >= 0.75 for score in scores) == 1
    assert sum(score >= 0.75 for score in raw_scores) > 5
    assert [score for score in scores if 0 < score < 0.75] == [score for score in raw_scores if 0 < score < 0.75]


def test_a_threshold_of_the_callers_own(interpreter: NanoInterpreter) -> None:
    half = np.concatenate([silence(0.4), tone(0.8, amplitude=4_096), silence(0.4)])
    assert not any(result.detected for result in interpreter.predict_clip(half))
    assert any(result.detected for result in interpreter.predict_clip(half, threshold=0.45))
    assert any(result.detected for result in interpreter.predict_clip(half, threshold={"beep": 0.45}))


def test_several_models_hear_the_same_audio(pair: list[Path]) -> None:
    interpreter = NanoInterpreter.load_model([str(path) for path in pair])
    half = np.concatenate([silence(0.4), tone(0.8, amplitude=4_096)])
    result = interpreter.predict(half)
    assert [item.model for item in result.detections] == ["other"]
    assert result.model_name == "other"
    assert result.detections[0].phrase == "boop"
    assert set(result.scores) == {"beep", "other"}
    interpreter.reset()
    result = interpreter.predict(BEEP, threshold={"beep": 0.2}, patience={"other": 4})
    assert [item.model for item in result.detections] == ["beep", "other"]
    assert set(interpreter.cards) == {"beep", "other"}
    assert repr(interpreter) == "NanoInterpreter(beep, other)"


def test_a_result_reads_like_a_mapping(interpreter: NanoInterpreter) -> None:
    result = interpreter.predict(tone(0.4))
    assert result["beep"] == result.get("beep") == result.score
    assert "beep" in result
    assert "boop" not in result
    assert result.get("boop") == 0.0
    assert result.get("boop", -1.0) == -1.0
    assert dict(result.scores) == {name: result[name] for name in result}
    assert len(result) == 1
    with pytest.raises(KeyError):
        result["boop"]


def test_a_clip_is_heard_from_a_fresh_state(interpreter: NanoInterpreter, tmp_path: Path, tiny: Graph) -> None:
    interpreter.predict(tone(0.5))
    before = interpreter.info
    from_array = interpreter.predict_clip(BEEP[:30_000])
    from_file = interpreter.predict_clip(str(write_wav(tmp_path / "a.wav", BEEP[:30_000])))
    assert from_array == from_file
    assert len(from_array) == 24  # the last hop is completed
    padded = np.pad(BEEP[:30_000], (0, 24 * HOP_SAMPLES - 30_000))
    expected, _, _ = tiny.run(padded[None], tiny.zero_state())
    assert [result.score for result in from_array] == expected[0].tolist()
    assert interpreter.info == before
    assert interpreter.predict_clip(np.zeros(0, np.int16)) == []


def test_reset_forgets_everything(interpreter: NanoInterpreter) -> None:
    first = [interpreter.predict(chunk) for chunk in hops(BEEP[:20_001])]
    interpreter.reset()
    assert interpreter.raw_scores == {"beep": 0.0}
    assert [interpreter.predict(chunk) for chunk in hops(BEEP[:20_001])] == first


def test_detected_asks_for_the_last_score(interpreter: NanoInterpreter) -> None:
    assert not interpreter.detected()
    interpreter.predict(tone(0.4, amplitude=4_096))
    assert not interpreter.detected()
    assert interpreter.detected(0.45)
    assert interpreter.detected(0.45, model="beep")
    with pytest.raises(ConfigError, match="no such model; got 'boop'; expected beep"):
        interpreter.detected(0.45, model="boop")
    with pytest.raises(ConfigError, match="bad threshold"):
        interpreter.detected(45)


def test_info(interpreter: NanoInterpreter) -> None:
    interpreter.predict(tone(0.4))
    info = interpreter.info
    assert info["loaded_models"] == ["beep"]
    assert info["phrases"] == {"beep": "beep"}
    assert info["thresholds"] == {"beep": 0.75}
    assert info["raw_scores"] == info["scores"] == {"beep": pytest.approx(1.0, abs=1e-4)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 7}, "bad threshold"),
        ({"threshold": {"beep": 0}}, "bad threshold"),
        ({"threshold": {"boop": 0.5}}, "no such model; got 'boop'; expected beep"),
        ({"patience": 0}, "bad patience"),
        ({"patience": {"beep": 0.5}}, "bad patience"),
        ({"patience": {"boop": 2}}, "no such model"),
        ({"debounce_time": -1}, "bad refractory time"),
    ],
)
def test_wrong_options_are_refused(interpreter: NanoInterpreter, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        interpreter.predict(tone(0.1), **options)


@pytest.mark.parametrize("chunk", [np.zeros(1280, np.float32), np.zeros((1280, 2), np.int16), b"", None])
def test_wrong_audio_is_refused(interpreter: NanoInterpreter, chunk: Any) -> None:
    with pytest.raises(AudioError, match="a chunk of audio; got"):
        interpreter.predict(chunk)
    if chunk is not None:
        with pytest.raises(AudioError):
            interpreter.predict_clip(chunk)


def test_wrong_models_are_refused(tiny_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        NanoInterpreter.load_model(tmp_path / "nothing.onnx")
    with pytest.raises(ConfigError, match="two models of the same name; got beep, beep"):
        NanoInterpreter.load_model([tiny_path, tiny_path])
    with pytest.raises(ConfigError, match="no model to load"):
        NanoInterpreter.load_model([])


def test_results_compare_and_are_frozen() -> None:
    result = DetectionResult(scores={"a": 0.5, "b": 0.7})
    assert (result.model_name, result.score, result.detected) == ("b", 0.7, False)
    with pytest.raises(AttributeError):
        result.scores = {}  # type: ignore[misc]
