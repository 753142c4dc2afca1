"""What programs hand over by mistake: a clear error or a documented answer, and a stream that goes on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nanowakeword import Graph, NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError, ModelError, NanoWakewordError
from nanowakeword.timing import HOP_SAMPLES
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

BEEP: Samples = np.concatenate([silence(0.4), tone(0.6), silence(0.4)])
WRONG_CHUNKS: list[Any] = [
    b"\0\0",
    [1, 2, 3],
    7,
    None,
    np.int16(7),
    np.zeros(0),
    np.zeros(1_280, np.float32),
    np.zeros(1_280, np.int32),
    np.zeros(1_280, np.uint16),
    np.zeros(1_280, ">i2"),
    np.zeros(1_280, bool),
    np.full(3, None),
    np.zeros((1_280, 2), np.int16),
    np.zeros((1, 1_280), np.int16),
    np.array(7, np.int16),
]
WRONG_OPTIONS: list[dict[str, Any]] = [
    {"threshold": 1.5},
    {"threshold": float("nan")},
    {"threshold": "0.5"},
    {"threshold": {"other": 0.5}},
    {"patience": 0},
    {"patience": 1.5},
    {"debounce_time": -1.0},
    {"smoothing": 0},
    {"rearm_below": 2.0},
    {"budget": "often"},
    {"budget": "0.5/h", "threshold": 0.5},
]

HOUR = """
import resource, sys, time
import numpy as np
from nanowakeword import NanoInterpreter
from tests.tiny_model import tone

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

hour = np.zeros(3600 * 16000, np.int16)
hour[-16000:] = tone(1.0)
interpreter = NanoInterpreter.load_model(sys.argv[1])
interpreter.predict(hour[-16000 * 10 - 7 :])
interpreter.reset()
interpreter.predict(hour[:7])
before, started = peak_mib(), time.process_time()
(heard,) = interpreter.predict(hour).detections
print(peak_mib() - before, time.process_time() - started, heard.end_s)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def scores(interpreter: NanoInterpreter, audio: Samples) -> list[float]:
    return [
        interpreter.predict(audio[start : start + HOP_SAMPLES]).score for start in range(0, len(audio), HOP_SAMPLES)
    ]


@settings(max_examples=60, deadline=None)
@given(where=st.integers(1, len(BEEP) - 1), wrong=st.sampled_from(WRONG_CHUNKS))
def test_a_chunk_that_is_refused_leaves_the_stream_as_it_was(tiny: Graph, where: int, wrong: Any) -> None:
    interpreter = NanoInterpreter.load_model(tiny.path)
    expected = [item.end_s for item in interpreter.predict(BEEP).detections]
    interpreter.reset()
    heard = list(interpreter.predict(BEEP[:where]).detections)
    before = interpreter.raw_scores
    with pytest.raises(AudioError, match="int16"):
        interpreter.predict(wrong)
    assert interpreter.raw_scores == before
    heard += interpreter.predict(BEEP[where:]).detections
    assert [item.end_s for item in heard] == expected != []


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=str)
def test_an_option_that_is_refused_costs_no_audio(tiny_path: Path, options: dict[str, Any]) -> None:
    interpreter = NanoInterpreter.load_model(tiny_path)
    interpreter.predict(BEEP[: len(BEEP) // 2])
    with pytest.raises(ConfigError):
        interpreter.predict(BEEP[len(BEEP) // 2 :], **options)
    straight = NanoInterpreter.load_model(tiny_path)
    straight.predict(BEEP[: len(BEEP) // 2])
    rest = BEEP[len(BEEP) // 2 :]
    assert scores(interpreter, rest) == scores(straight, rest)


def test_how_int16_lies_in_memory_does_not_matter(tiny_path: Path, tmp_path: Path) -> None:
    interpreter = NanoInterpreter.load_model(tiny_path)
    expected = scores(interpreter, BEEP)
    stereo = np.stack([BEEP, -BEEP], axis=1)
    on_disk = np.memmap(tmp_path / "beep.raw", np.int16, "w+", shape=BEEP.shape)
    on_disk[:] = BEEP
    read_only = np.frombuffer(BEEP.tobytes(), np.int16)
    for audio in (stereo[:, 0], BEEP[::-1].copy()[::-1], on_disk, read_only):
        interpreter.reset()
        assert scores(interpreter, audio) == expected


@settings(max_examples=60, deadline=None)
@given(
    audio=npst.arrays(
        np.int16,
        st.integers(0, 4 * HOP_SAMPLES),
        elements=st.sampled_from([-32_768, -1, 0, 1, 32_767]),
        fill=st.sampled_from([-32_768, 0, 32_767]),
    )
)
def test_the_extremes_of_int16_give_scores(tiny: Graph, audio: Samples) -> None:
    interpreter = NanoInterpreter.load_model(tiny.path)
    assert 0.0 <= interpreter.predict(audio).score <= 1.0
    interpreter.predict(silence(0.32))
    assert interpreter.predict(silence(0.08)).score == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
def test_a_chunk_of_an_hour_needs_little_more_memory_than_itself(tiny_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOUR, str(tiny_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    grown_mib, cpu_s, end_s = map(float, done.stdout.split())
    chunk_mib = 3_600 * 16_000 * 2 / 2**20
    assert grown_mib < 1.25 * chunk_mib  # one copy: seven samples waited for the rest of their hop
    assert cpu_s < 30.0
    assert end_s == pytest.approx(3_599.3, abs=0.1)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_model_is_refused_or_scores(data: st.DataObject, tiny_path: Path, folder: Path) -> None:
    content = bytearray(tiny_path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        end = min(len(content), at + data.draw(st.integers(0, 40)))
        content[at:end] = data.draw(st.binary(max_size=40))
    path = folder / "damaged.onnx"
    path.write_bytes(content)
    try:
        interpreter = NanoInterpreter.load_model(path)
    except ModelError as error:
        assert str(path) in str(error)  # noqa: PT017  # many raise, some load
        assert "\n" not in str(error)  # noqa: PT017
        return
    for loud in (BEEP, np.full(8_000, -32_768, np.int16)):
        assert 0.0 <= interpreter.predict(loud).score <= 1.0


@settings(max_examples=60, deadline=None)
@given(
    content=st.one_of(
        st.binary(), st.text().map(str.encode), st.recursive(st.none(), st.lists).map(json.dumps).map(str.encode)
    )
)
def test_any_other_file_is_refused(content: bytes, folder: Path) -> None:
    path = folder / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        NanoInterpreter.load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("role", ["model", "one of several", "gate"])
@pytest.mark.parametrize("fault", ["newer", "damaged", "missing", "folder"])
def test_the_file_at_fault_is_named_whatever_its_role(tmp_path: Path, role: str, fault: str) -> None:
    good = write_tiny_model(tmp_path / "good.onnx")
    bad = tmp_path / "bad.onnx"
    if fault == "newer":
        write_tiny_model(bad, tiny_card(name="bad", schema_version=99))
    elif fault == "damaged":
        bad.write_bytes(good.read_bytes()[:5_000])
    elif fault == "folder":
        bad.mkdir()
    paths: dict[str, Any] = {"model": bad, "one of several": [good, bad], "gate": good}
    with pytest.raises(ModelError, match=re.escape(str(bad))):
        NanoInterpreter.load_model(paths[role], gate_model=bad if role == "gate" else None)


def test_one_name_for_two_models_is_refused_in_every_role(tmp_path: Path) -> None:
    first, second = write_tiny_model(tmp_path / "a.onnx"), write_tiny_model(tmp_path / "b.onnx")
    with pytest.raises(ConfigError, match="same name"):
        NanoInterpreter.load_model([first, second])
    with pytest.raises(ConfigError, match="the gate is one of the models"):
        NanoInterpreter.load_model(first, gate_model=second)


@pytest.mark.parametrize("model", [None, [], "a" * 5_000 + ".onnx", "/dev/null"])
def test_paths_that_lead_nowhere(model: Any) -> None:
    with pytest.raises(NanoWakewordError) as caught:
        NanoInterpreter.load_model(model)
    assert "\n" not in str(caught.value)
