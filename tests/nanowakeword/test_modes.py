"""The five modes, over a real server on loopback: the same phrases at the same times, wherever the models run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.interpreter import NanoInterpreter
from nanowakeword.results import Detection
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from tests.nanowakeword.remote_peers import ServerProcess
from tests.tiny_model import silence, tiny_card, tone, write_tiny_head, write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its heads, and its gate, which fires at half the level."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_head(write_tiny_model(folder / "beep.onnx"))
    write_tiny_model(folder / "beep_lite.onnx", tiny_card(name="beep_lite", kind="gate", threshold=0.4))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder / "beep.onnx") as running:
        yield running


@pytest.fixture(scope="module")
def recording() -> Samples:
    """A noisy room with beeps at odd places, some too weak for the model, some for the gate, too."""
    rng = np.random.default_rng(5)
    parts: list[Samples] = [silence(0.7)]
    for index in range(12):
        level = (8_000, 7_000, 4_500, 1_500)[index % 4]
        parts += [tone(0.55 + 0.05 * (index % 5), amplitude=level), silence(1.0 + 0.37 * (index % 7))]
    clean = np.concatenate(parts).astype(np.float64)
    noisy = clean + rng.normal(0.0, 60.0, len(clean))
    return np.clip(np.rint(noisy), -32_768, 32_767).astype(np.int16)


MODES = ("local", "cascade", "gate and verifier", "gate, features and verifier", "gate and pipeline", "remote")
REMOTE = MODES[2:]


def options(mode: str, folder: Path, address: str) -> dict[str, Any]:
    """Arguments of ``load_model``."""
    model, gate = folder / "beep.onnx", folder / "beep_lite.onnx"
    found: dict[str, dict[str, Any]] = {
        "local": {"model": model},
        "cascade": {"model": model, "cascade": True},
        # The gate's own features are the ones that the server's heads take.
        "gate and verifier": {"model": gate, "remote_verifier": address},
        "gate, features and verifier": {"model": model, "gate_model": gate, "remote_verifier": address},
        "gate and pipeline": {"gate_model": gate, "remote_verifier": address, "remote_pipeline": "full"},
        "remote": {"remote_verifier": address, "remote_pipeline": "full"},
    }
    return found[mode]


def listen(arguments: dict[str, Any], recording: Samples, *, chunk: int, **filters: Any) -> list[Detection]:
    """Feed a recording to the end, as fast as the server follows."""
    found: list[Detection] = []
    with NanoInterpreter.load_model(**arguments) as interpreter:
        remote = interpreter._hearing.chain.remote
        if remote is not None:
            assert remote.wait_answered(10.0), remote.error
        for start in range(0, len(recording), chunk):
            result = interpreter.predict(recording[start : start + chunk], **filters)
            assert result.remote_error is None
            found += result.detections
            if remote is not None:
                assert remote.wait_judged(10.0)
        found += interpreter.predict(silence(0.08)).detections
    return found


def marks(detections: list[Detection]) -> list[tuple[str, str, int]]:
    return [(one.model, one.phrase, round(one.end_s / HOP_S)) for one in detections]


@pytest.mark.parametrize("chunk", [1_111, 12_800])
@pytest.mark.parametrize("mode", MODES[1:])
def test_every_mode_hears_what_the_local_one_hears(
    server: ServerProcess, folder: Path, recording: Samples, mode: str, chunk: int
) -> None:
    expected = listen(options("local", folder, ""), recording, chunk=HOP_SAMPLES)
    assert len(expected) == 6
    heard = listen(options(mode, folder, server.address), recording, chunk=chunk)
    assert marks(heard) == marks(expected)
    assert [one.score for one in heard] == pytest.approx([one.score for one in expected], abs=1e-4)


@pytest.mark.parametrize("mode", REMOTE)
def test_the_users_filters_work_in_every_mode(
    server: ServerProcess, folder: Path, recording: Samples, mode: str
) -> None:
    filters = {"threshold": 0.5, "patience": 3, "debounce_time": 2.0}
    expected = listen(options("local", folder, ""), recording, chunk=HOP_SAMPLES, **filters)
    heard = listen(options(mode, folder, server.address), recording, chunk=5 * HOP_SAMPLES, **filters)
    assert len(expected) > 2
    assert marks(heard) == marks(expected)


@pytest.mark.parametrize("mode", REMOTE)
def test_at_the_pace_of_a_microphone(server: ServerProcess, folder: Path, recording: Samples, mode: str) -> None:
    """Nothing waits for the server: answers come with later chunks, at the times of their own."""
    part = recording[: 40 * HOP_SAMPLES]
    expected = listen(options("local", folder, ""), part, chunk=HOP_SAMPLES)
    found: list[Detection] = []
    with NanoInterpreter.load_model(**options(mode, folder, server.address)) as interpreter:
        for hop in part.reshape(-1, HOP_SAMPLES):
            found += interpreter.predict(hop).detections
            time.sleep(0.02)  # four times as fast as people speak
        until = time.monotonic() + 5.0
        while len(found) < len(expected) and time.monotonic() < until:
            time.sleep(0.02)
            found += interpreter.predict(silence(0.0)).detections
    assert marks(found) == marks(expected)
    assert len(found) == 2


@pytest.mark.parametrize("mode", REMOTE)
def test_a_server_that_is_away_is_told_from_silence(folder: Path, recording: Samples, mode: str) -> None:
    with ServerProcess(folder / "beep.onnx") as running:
        arguments = options(mode, folder, running.address)
    with NanoInterpreter.load_model(**arguments) as interpreter:
        until = time.monotonic() + 10.0
        result = interpreter.predict(silence(0.0))
        while result.remote_error is None and time.monotonic() < until:
            time.sleep(0.01)
            result = interpreter.predict(silence(0.0))
        assert "cannot reach a server" in str(result.remote_error)
        result = interpreter.predict(recording[: 30 * HOP_SAMPLES])
        assert result.remote_error is not None
        assert not result.detected
        assert (result.gate_score > 0.4) is ("gate" in mode)


def test_silence_sends_nothing_where_there_is_a_gate(server: ServerProcess, folder: Path) -> None:
    """And the server has no stream open."""
    for mode in REMOTE:
        with NanoInterpreter.load_model(**options(mode, folder, server.address)) as interpreter:
            for _ in range(20):
                interpreter.predict(silence(0.4))
            assert interpreter.info["run_hops"] == (None if mode == "remote" else 0)
