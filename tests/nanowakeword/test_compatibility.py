"""Programs written for NanoWakeword 2.1.3 run unchanged."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nanowakeword import NanoInterpreter
from nanowakeword.results import DetectionResult
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import silence, tone

BEEPS = np.concatenate([silence(1.0), tone(0.5), silence(2.0), tone(0.5), silence(1.0)])

# The shape of its README's example: same imports, same calls, same test of the score.
PROGRAM = """
import sys

import numpy as np
import pyaudio
from nanowakeword import NanoInterpreter

interpreter = NanoInterpreter.load_model(r"{model}")

audio = pyaudio.PyAudio()
stream = audio.open(format=pyaudio.paInt16, channels=1, rate=16000, input=True, frames_per_buffer=1280)

print("Listening...")
while True:
    audio_chunk = np.frombuffer(stream.read(1280, exception_on_overflow=False), dtype=np.int16)
    result = interpreter.predict(audio_chunk)
    if result.score > 0.95:
        print("Detected!")
        interpreter.reset()
"""
# A sound card whose microphone is a file, and which is unplugged at its end.
SOUND_CARD = """
import sys, wave

paInt16 = 8

class PyAudio:
    def open(self, *, format, channels, rate, input, frames_per_buffer):
        assert (format, channels, rate, input, frames_per_buffer) == (paInt16, 1, 16000, True, 1280)
        return Stream()

class Stream:
    def __init__(self):
        self._file = wave.open(sys.argv[1], "rb")

    def read(self, frames, exception_on_overflow):
        data = self._file.readframes(frames)
        if len(data) < 2 * frames:
            sys.exit()
        return data
"""


def hops(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[np.ndarray[tuple[int], np.dtype[np.int16]]]:
    return [samples[start : start + 1_280] for start in range(0, len(samples), 1_280)]


@pytest.fixture
def interpreter(tiny_path: Path) -> NanoInterpreter:
    return NanoInterpreter.load_model(str(tiny_path))


def test_the_example_of_the_readme(tiny_path: Path, tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(PROGRAM.format(model=tiny_path))
    (tmp_path / "pyaudio.py").write_text(SOUND_CARD)
    recording = write_wav(tmp_path / "kitchen.wav", BEEPS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "listen.py", str(recording)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # A reset forgets what was heard, so each half second of tone fills the window of 320 ms once.
    assert done.stdout.splitlines() == ["Listening...", "Detected!", "Detected!"]


def test_both_imports_are_the_same_class() -> None:
    from nanowakeword.interpreter import NanoInterpreter as FromModule

    assert FromModule is NanoInterpreter


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (
            "load_model",
            """model cascade gate_model gate_threshold remote_verifier remote_pipeline remote_timeout remote_api_key
            remote_token remote_ssl_certfile remote_ssl_keyfile remote_ssl_ca_certs vad_threshold
            enable_noise_reduction""",
        ),
        ("predict", "patience threshold debounce_time"),
        ("listen", "on_detection threshold cooldown on_score on_audio blocking"),
        ("detected", "threshold model"),
        ("reset", ""),
        ("stop", ""),
    ],
)
def test_arguments_keep_their_names(method: str, names: str) -> None:
    known = inspect.signature(getattr(NanoInterpreter, method)).parameters
    assert set(names.split()) <= set(known)


def test_the_first_arguments_may_go_without_names(interpreter: NanoInterpreter) -> None:
    # predict(x, patience, threshold, debounce_time), where it has dictionaries by model name
    heard = [interpreter.predict(hop, {"beep": 2}, {"beep": 0.9}).score > 0.9 for hop in hops(BEEPS)]
    assert heard.count(True) == 2
    interpreter.reset()
    heard = [interpreter.predict(hop, {}, {"beep": 0.9}, 1.0).score > 0.9 for hop in hops(BEEPS)]
    assert heard.count(True) == 2


def test_the_defaults_written_out_change_nothing_that_fires(interpreter: NanoInterpreter) -> None:
    heard = [interpreter.predict(hop, patience={}, threshold={}).detected for hop in hops(BEEPS)]
    assert heard.count(True) == 2


def test_results_answer_as_they_did(interpreter: NanoInterpreter) -> None:
    result = interpreter.predict(tone(0.48))
    assert isinstance(result, DetectionResult)
    assert result.score == result["beep"] == result.get("beep") == result.scores["beep"] > 0.99
    assert result.get("unknown") == 0.0
    assert result.get("unknown", -1.0) == -1.0
    assert "beep" in result
    assert "unknown" not in result
    assert (result.model_name, result.gate_name, result.gate_score) == ("beep", None, 0.0)
    with pytest.raises(KeyError):
        result["unknown"]


def test_the_interpreter_tells_what_it_told(interpreter: NanoInterpreter) -> None:
    interpreter.predict(silence(0.48))
    assert not interpreter.detected(0.95)
    interpreter.predict(tone(0.48))
    assert interpreter.detected(0.95)
    assert interpreter.detected(0.95, model="beep")
    assert interpreter.raw_scores["beep"] > 0.99
    info = interpreter.info
    assert info["loaded_models"] == ["beep"]
    assert info["raw_scores"] == interpreter.raw_scores
    assert (info["is_cascade"], info["is_remote"], info["gate_name"], info["gate_score"]) == (False, False, None, 0.0)


def test_a_clip_gives_a_result_per_hop(interpreter: NanoInterpreter, tmp_path: Path) -> None:
    path = str(write_wav(tmp_path / "clip.wav", BEEPS))
    for clip in (path, BEEPS):
        results = interpreter.predict_clip(clip, threshold={"beep": 0.9}, patience={"beep": 2})
        assert len(results) == len(hops(BEEPS))
        assert sum(result.score >= 0.9 for result in results) == 2


def test_an_array_out_of_bytes_may_be_read_only(interpreter: NanoInterpreter) -> None:
    for hop in hops(BEEPS):
        chunk = np.frombuffer(hop.tobytes(), dtype=np.int16)
        assert not chunk.flags.writeable
        interpreter.predict(chunk)
