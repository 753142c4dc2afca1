"""What `NanoInterpreter.load_model` can put between the microphone and the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword import Detection, NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

# Two beeps, the second so soft that only a model with a low threshold hears it.
SOUND: Samples = np.concatenate([silence(4.0), tone(0.8), silence(6.0), tone(0.8, amplitude=3_500), silence(2.0)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``beep.onnx`` with its gate ``beep_lite.onnx`` beside it, which fires earlier."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "beep.onnx")
    write_tiny_model(folder / "beep_lite.onnx", tiny_card(name="beep_lite", kind="gate", threshold=0.4))
    return folder


def listen(interpreter: NanoInterpreter, audio: Samples = SOUND, chunk: int = HOP_SAMPLES) -> list[Detection]:
    pieces = (audio[start : start + chunk] for start in range(0, len(audio), chunk))
    return [item for piece in pieces for item in interpreter.predict(piece).detections]


@pytest.fixture(scope="module")
def local(folder: Path) -> list[Detection]:
    """What the model hears without anything before it."""
    return listen(NanoInterpreter.load_model(folder / "beep.onnx"))


@pytest.mark.parametrize(
    "options",
    [
        {"cascade": True},
        {"gate_model": "beep_lite.onnx"},
        {"gate_model": "beep_lite.onnx", "gate_threshold": 0.3},
        {"vad": "energy"},
        {"vad": "energy", "cascade": True},
        {"vad": "energy", "vad_threshold": 12.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("chunk", [HOP_SAMPLES, 999, 40_000])
def test_what_sleeps_hears_the_same(folder: Path, local: list[Detection], options: dict[str, Any], chunk: int) -> None:
    if "gate_model" in options:
        options = {**options, "gate_model": folder / options["gate_model"]}
    interpreter = NanoInterpreter.load_model(folder / "beep.onnx", **options)
    assert len(local) == 1
    heard = listen(interpreter, chunk=chunk)
    assert [(item.start_s, item.end_s) for item in heard] == [(item.start_s, item.end_s) for item in local]
    assert heard[0].score == pytest.approx(local[0].score, abs=1e-5)
    info = interpreter.info
    assert info["heard_hops"] == len(SOUND) // HOP_SAMPLES
    assert 0 < info["run_hops"] < 0.8 * info["heard_hops"]


def test_gate_in_the_result(folder: Path) -> None:
    interpreter = NanoInterpreter.load_model(folder / "beep.onnx", cascade=True)
    assert (interpreter.info["is_cascade"], interpreter.info["gate_name"]) == (True, "beep_lite")
    assert interpreter.info["gate_threshold"] == 0.4
    asleep = interpreter.predict(tone(HOP_S))
    assert asleep.gate_score == pytest.approx(0.25, abs=1e-4)
    assert (asleep.gate_name, asleep.score, asleep.detected) == ("beep_lite", 0.0, False)
    awake = interpreter.predict(tone(HOP_S, start_s=HOP_S))
    assert awake.score == pytest.approx(0.5, abs=1e-4)
    interpreter.reset()
    assert interpreter.predict(silence(0.0)).gate_score == 0.0


def test_without_a_gate(folder: Path) -> None:
    result = NanoInterpreter.load_model(folder / "beep.onnx").predict(tone(0.4))
    assert (result.gate_name, result.gate_score, result.remote_error) == (None, 0.0, None)


def test_predict_clip_has_a_chain_of_its_own(folder: Path, local: list[Detection]) -> None:
    interpreter = NanoInterpreter.load_model(folder / "beep.onnx", cascade=True)
    interpreter.predict(tone(0.16))
    results = interpreter.predict_clip(SOUND)
    assert [item.end_s for result in results for item in result.detections] == [item.end_s for item in local]
    assert interpreter.info["heard_hops"] == 2


def test_budget(folder: Path) -> None:
    assert len(listen(NanoInterpreter.load_model(folder / "beep.onnx", budget="0.5/h"))) == 1
    loose = NanoInterpreter.load_model(folder / "beep.onnx", budget={"beep": 2})
    assert loose.info["thresholds"] == {"beep": 0.5}
    strict = NanoInterpreter.load_model(folder / "beep.onnx")
    soft = tone(0.4, amplitude=5_000)  # a score of 0.61
    assert loose.predict(soft).detected
    assert not strict.predict(soft).detected
    strict.reset()
    assert strict.predict(soft, budget="2/h").detected
    loose.reset()
    assert not loose.predict(soft, threshold=0.7).detected  # what is said last, counts
    with pytest.raises(ConfigError, match=r"has no threshold for 0\.1 false accepts per hour"):
        NanoInterpreter.load_model(folder / "beep.onnx", budget="0.1/h")
    with pytest.raises(ConfigError, match="bad budget"):
        NanoInterpreter.load_model(folder / "beep.onnx", budget="few")


def test_filters_of_the_caller(folder: Path) -> None:
    interpreter = NanoInterpreter.load_model(folder / "beep.onnx")
    blip = np.concatenate([silence(0.8), tone(0.32), silence(0.8)])  # scores 1/4, 2/4, 3/4, 1, 3/4, 2/4, 1/4
    heard = [interpreter.predict(hop, smoothing=4).detected for hop in blip.reshape(-1, HOP_SAMPLES)]
    assert sum(heard) == 0
    interpreter.reset()
    shown = [interpreter.predict(hop, smoothing=2).score for hop in blip.reshape(-1, HOP_SAMPLES)]
    assert sum(score > 0.75 for score in shown) == 1
    interpreter.reset()
    held = tone(4.0)
    heard = [interpreter.predict(hop, rearm_below=0.5).detected for hop in held.reshape(-1, HOP_SAMPLES)]
    assert sum(heard) == 1
    with pytest.raises(ConfigError, match="bad rearm_below"):
        interpreter.predict(held, rearm_below=0.8)
    with pytest.raises(ConfigError, match="bad smoothing"):
        interpreter.predict(held, smoothing=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no model to load"),
        ({"model": []}, "no model to load"),
        ({"model": ["beep.onnx", "beep.onnx"]}, "two models of the same name"),
        ({"model": ["beep.onnx", "beep_lite.onnx"], "cascade": True}, "needs to be told its gate"),
        ({"model": "beep_lite.onnx", "cascade": True}, "no gate beside"),
        ({"model": "beep.onnx", "gate_model": "beep.onnx"}, "the gate is one of the models"),
        ({"model": "beep.onnx", "cascade": True, "gate_threshold": 2.0}, "bad threshold"),
        ({"model": "beep.onnx", "vad": "ears"}, "no such VAD; got 'ears'"),
        ({"model": "beep.onnx", "vad": "energy", "vad_threshold": 99.0}, "VAD"),
        ({"model": "beep.onnx", "remote_pipeline": "some"}, "no such remote_pipeline"),
        ({"remote_verifier": "127.0.0.1:1"}, "which nothing computes here"),
        ({"model": ["beep.onnx", "beep_lite.onnx"], "remote_verifier": "127.0.0.1:1"}, "several local models"),
        (
            {
                "model": "beep.onnx",
                "gate_model": "beep_lite.onnx",
                "remote_verifier": "127.0.0.1:1",
                "remote_pipeline": "full",
            },
            "audio goes to the server",
        ),
    ],
    ids=str,
)
def test_what_contradicts_itself(folder: Path, options: dict[str, Any], message: str) -> None:
    def located(value: Any) -> Any:
        return [folder / item for item in value] if isinstance(value, list) else folder / value

    options = {key: located(value) if key in {"model", "gate_model"} else value for key, value in options.items()}
    with pytest.raises(ConfigError, match=message):
        NanoInterpreter.load_model(**options)


@pytest.mark.parametrize("model", ["", ".", "a\0b.onnx", 5, b"beep.onnx", [None]], ids=repr)
def test_what_is_no_path(model: Any) -> None:
    with pytest.raises(ConfigError, match="no path of a model"):
        NanoInterpreter.load_model(model)


def test_an_hour_at_once_is_heard_as_in_pieces(folder: Path) -> None:
    """Chunks longer than any ring: what sleeps, and the owner's guard behind it, still find their audio."""
    interpreter = NanoInterpreter.load_model(folder / "beep.onnx", cascade=True, vad="energy")
    audio = np.concatenate([np.tile(SOUND, 8), silence(5.0)])
    at_once = interpreter.predict(audio)
    interpreter.reset()
    in_pieces = listen(interpreter, audio)
    assert [item.end_s for item in at_once.detections] == [item.end_s for item in in_pieces]
    assert len(in_pieces) == 8
    assert at_once.gate_score == pytest.approx(1.0, abs=1e-3)


def test_a_gate_that_is_no_model(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "gate.onnx").write_text("gate")
    with pytest.raises(ModelError, match="cannot load model"):
        NanoInterpreter.load_model(folder / "beep.onnx", gate_model=tmp_path / "gate.onnx")
