from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nanowakeword import NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.listening import Listener
from nanowakeword.results import DetectionResult
from tests.tiny_model import silence, tone

BEEP = np.concatenate([silence(0.8), tone(0.8), silence(0.8)])


class BrokenCallbackError(Exception):
    """What a user's function raises."""


@pytest.fixture
def interpreter(tiny_path: Path) -> NanoInterpreter:
    return NanoInterpreter.load_model(tiny_path)


def chunks(audio: Samples, size: int = 1_000) -> list[Samples]:
    return [audio[start : start + size] for start in range(0, len(audio), size)]


class Endless:
    """Silence without end, as a microphone gives; `hangs` makes it give nothing at all."""

    def __init__(self) -> None:
        self.closed = False
        self.hangs = threading.Event()

    def __iter__(self) -> Iterator[Samples]:
        while not self.closed:
            while self.hangs.is_set():
                time.sleep(0.01)
            time.sleep(0.002)
            yield silence(0.08)

    def close(self) -> None:
        self.closed = True


def test_all_functions_are_called_in_order(interpreter: NanoInterpreter) -> None:
    calls: list[tuple[str, object]] = []
    source = chunks(BEEP, 1_280)
    interpreter.listen(
        lambda *event: calls.append(("detection", event)),
        source=source,
        on_score=lambda *scores: calls.append(("score", scores)),
        on_audio=lambda chunk: calls.append(("audio", chunk)),
        on_result=lambda result: calls.append(("result", result)),
    )
    kinds = [kind for kind, _ in calls]
    assert kinds.count("audio") == kinds.count("score") == kinds.count("result") == len(source)
    assert kinds.count("detection") == 1
    assert kinds[:3] == ["audio", "score", "result"]
    (event,) = [value for kind, value in calls if kind == "detection"]
    before = calls[kinds.index("detection") - 1][1]
    assert isinstance(before, DetectionResult)
    assert event == ("beep", before.score)
    assert before.detections[0].end_s == pytest.approx(1.12)  # 0.8 s and four hops
    np.testing.assert_array_equal(
        np.concatenate([value for kind, value in calls if kind == "audio" and isinstance(value, np.ndarray)]), BEEP
    )
    scores = [value for kind, value in calls if kind == "score"]
    assert all(isinstance(score, tuple) and score[1] == 0.0 for score in scores)  # no gate


def test_threshold_cooldown_and_other_filters(interpreter: NanoInterpreter) -> None:
    twice = np.concatenate([BEEP, BEEP])
    heard: list[str] = []

    def count(**options: object) -> int:
        heard.clear()
        interpreter.listen(lambda model, _: heard.append(model), source=chunks(twice), **options)  # type: ignore[arg-type]
        return len(heard)

    assert count() == 2
    assert count(cooldown=5.0) == 1
    assert count(threshold={"beep": 0.99}, patience=8) == 0
    assert count(budget="2/h") == 2
    quiet = (twice // 2).astype(np.int16)
    twice = quiet
    assert count() == 0
    assert count(threshold=0.4) == 2


def test_each_listening_is_a_new_stream(interpreter: NanoInterpreter) -> None:
    interpreter.predict(tone(0.8))
    scores: list[float] = []
    interpreter.listen(source=[silence(0.08)], on_score=lambda score, _: scores.append(score))
    assert scores == [0.0]


def test_without_functions_it_prints(interpreter: NanoInterpreter, capsys: pytest.CaptureFixture[str]) -> None:
    interpreter.listen(source=chunks(BEEP))
    assert capsys.readouterr().out == "beep  1.000\n"


def test_a_gap_begins_a_new_stream_on_the_same_clock(interpreter: NanoInterpreter) -> None:
    half = tone(0.16)  # two hops, twice: in one piece they would fire
    gaps: list[str] = []
    results: list[DetectionResult] = []
    source = [silence(0.8), half, None, half, silence(0.8), None, tone(0.8)]
    listener = Listener(interpreter, source, on_result=results.append, on_gap=lambda: gaps.append("gap"))
    listener.run()
    (detection,) = [item for result in results for item in result.detections]
    assert detection.end_s == pytest.approx(0.8 + 0.32 + 0.8 + 0.32)
    assert listener.heard_s == pytest.approx(2.72)
    assert gaps == ["gap", "gap"]
    assert not listener.running


def test_empty_chunks_are_silence_of_no_length(interpreter: NanoInterpreter) -> None:
    heard: list[str] = []
    source = [part for chunk in chunks(BEEP) for part in (chunk, silence(0.0))]
    interpreter.listen(lambda model, _: heard.append(model), source=source)
    assert heard == ["beep"]


@pytest.mark.parametrize("function", ["on_detection", "on_score", "on_audio", "on_result"])
def test_what_a_function_raises_is_raised(interpreter: NanoInterpreter, function: str) -> None:
    def fail(*_: object) -> None:
        raise BrokenCallbackError(function)

    source = Endless()
    sound = (chunk for part in (chunks(BEEP), source) for chunk in part)
    with pytest.raises(BrokenCallbackError, match=function):
        interpreter.listen(source=sound, **{function: fail})  # type: ignore[arg-type]
    interpreter.stop()  # harmless


def test_in_a_thread_it_is_logged_and_raised_by_stop(
    interpreter: NanoInterpreter, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()

    def fail(*_: object) -> None:
        called.set()
        raise BrokenCallbackError("told twice")

    source = Endless()
    interpreter.listen(source=source, on_audio=fail, blocking=False)
    assert called.wait(5)
    with pytest.raises(BrokenCallbackError, match="told twice"):
        interpreter.stop()
    assert source.closed
    assert "listening has ended: told twice" in caplog.text
    assert "Traceback" in caplog.text
    interpreter.stop()  # once is enough


def test_join_raises_too_and_waits(interpreter: NanoInterpreter, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise BrokenCallbackError

    with caplog.at_level(logging.CRITICAL):
        listener = Listener(interpreter, chunks(BEEP), on_detection=fail)
        listener.start()
        with pytest.raises(BrokenCallbackError):
            listener.join()
    listener = Listener(interpreter, Endless())
    listener.join(timeout_s=0.01)  # not begun: nothing to wait for
    listener.start()
    listener.join(timeout_s=0.05)
    assert listener.running
    listener.stop()
    assert not listener.running


def test_wrong_audio_is_an_error_of_the_listening(interpreter: NanoInterpreter) -> None:
    with pytest.raises(AudioError, match="float64"):
        interpreter.listen(source=[np.zeros(1_280)])  # type: ignore[list-item]


def test_stop_from_another_thread_ends_a_blocking_listen(interpreter: NanoInterpreter) -> None:
    source = Endless()
    timer = threading.Timer(0.2, interpreter.stop)
    timer.start()
    interpreter.listen(source=source)
    timer.join()
    assert source.closed


@pytest.mark.parametrize("blocking", [True, False])
def test_stop_from_within_a_function(interpreter: NanoInterpreter, blocking: bool) -> None:
    source = Endless()
    seen: list[int] = []
    stopped = threading.Event()

    def count(chunk: Samples) -> None:
        seen.append(len(chunk))
        if len(seen) == 3:
            interpreter.stop()
            stopped.set()

    interpreter.listen(source=source, on_audio=count, blocking=blocking)
    assert stopped.wait(5)
    interpreter.stop()
    assert len(seen) == 3
    assert source.closed


def test_listening_again_after_stop(interpreter: NanoInterpreter) -> None:
    interpreter.stop()
    for _ in range(2):
        interpreter.listen(source=Endless(), blocking=False)
        with pytest.raises(ConfigError, match="listens already"):
            interpreter.listen(source=Endless(), blocking=False)
        interpreter.stop()


def test_the_end_of_the_interpreter_is_the_end_of_listening(tiny_path: Path) -> None:
    source = Endless()
    with NanoInterpreter.load_model(tiny_path) as interpreter:
        interpreter.listen(source=source, blocking=False)
    assert source.closed


def test_a_listener_is_used_once(interpreter: NanoInterpreter) -> None:
    listener = Listener(interpreter, [silence(0.08)])
    listener.run()
    for again in (listener.run, listener.start):
        with pytest.raises(ConfigError, match="has been used"):
            again()


def test_a_source_that_hangs_is_told(interpreter: NanoInterpreter) -> None:
    source = Endless()
    source.hangs.set()
    listener = Listener(interpreter, source)
    listener.start()
    with pytest.raises(AudioError, match="does not answer"):
        listener.stop(timeout_s=0.1)
    source.hangs.clear()
    listener.stop()


@pytest.mark.parametrize(
    "options", [{"threshold": 2.0}, {"cooldown": -1.0}, {"patience": 0}, {"threshold": {"no": 0.5}}]
)
def test_wrong_arguments_are_told_before_anything_is_heard(
    interpreter: NanoInterpreter, options: dict[str, object]
) -> None:
    seen: list[Samples] = []
    with pytest.raises(ConfigError):
        interpreter.listen(source=chunks(BEEP), on_audio=seen.append, **options)  # type: ignore[arg-type]
    assert not seen


PROGRAM = """
import sys, time, numpy as np
from nanowakeword import NanoInterpreter
interpreter = NanoInterpreter.load_model(sys.argv[1])
def microphone():
    print("begun", flush=True)
    try:
        while True:
            time.sleep(0.01)
            yield np.zeros(1280, np.int16)
    finally:
        print("closed", flush=True)
interpreter.listen(source=microphone())
print("after", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX only")
def test_ctrl_c_ends_a_blocking_listen_cleanly(tiny_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tiny_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "begun\n"
    time.sleep(0.1)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=10)
    assert program.returncode == 0, err
    assert out == "closed\nafter\n"
    assert err == ""
