"""A file sent to a server in another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nanowakeword.errors import AudioError, ConfigError, RemoteError
from nanowakeword.graph import Graph
from nanowakeword.remote_file import detect_file
from nanowakeword.stream import DetectionStream
from nanowakeword.v1 import wakeword_pb2 as pb
from tests.nanowakeword.remote_peers import ServerProcess, peer
from tests.tiny_model import silence, tone, write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "beep.onnx")


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    with ServerProcess(model) as server:
        yield server.address


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_it_is_heard_as_the_local_runtime_hears_it(address: str, model: Path, tmp_path: Path, suffix: str) -> None:
    recording = np.concatenate([silence(1.5), tone(0.8), silence(3.03), tone(1.2, amplitude=7_000), silence(0.5)])
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, recording, 16_000)
    for options in ({}, {"models": "beep", "threshold": 0.5}, {"budget_fa_per_hour": 2.0}):
        stream = DetectionStream(Graph.load(model), threshold=0.5 if options else None)
        expected = stream.feed(recording) + stream.flush()
        heard = detect_file(address, path, **options)
        assert [(one.phrase, one.model, one.start_s, one.end_s) for one in heard] == [
            (one.phrase, one.model, one.start_s, one.end_s) for one in expected
        ]
        assert [one.score for one in heard] == pytest.approx([one.score for one in expected], abs=1e-4)


def test_errors_are_those_of_the_runtime(address: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"hello")
    with pytest.raises(RemoteError, match=r"INVALID_ARGUMENT: cannot read the file.*Correct what the server names"):
        detect_file(address, tmp_path / "a.wav")
    with pytest.raises(AudioError, match=r"cannot read .*none\.wav"):
        detect_file(address, tmp_path / "none.wav")
    with pytest.raises(RemoteError, match="cannot reach a server"):
        detect_file("127.0.0.1:1", tmp_path / "a.wav")
    with pytest.raises(RemoteError, match="NOT_FOUND"):
        detect_file(address, tmp_path / "a.wav", models="alexa")


@pytest.mark.parametrize("wrong", [{"timeout_s": 0.0}, {"threshold": 0.5, "budget_fa_per_hour": 1.0}, {"token": "a b"}])
def test_wrong_arguments(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        detect_file("127.0.0.1:1", tmp_path / "a.wav", **wrong)


def test_a_server_without_files_is_told(tmp_path: Path) -> None:
    """One from before there were any."""
    (tmp_path / "a.wav").write_bytes(b"hello")

    def detect(requests: Iterator[pb.DetectRequest]) -> Iterator[pb.DetectResponse]:
        yield from ()

    with peer(detect) as address, pytest.raises(RemoteError, match=r"UNIMPLEMENTED.*older one"):
        detect_file(address, tmp_path / "a.wav")
