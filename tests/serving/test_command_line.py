"""The server as people start it: a process of its own."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.errors import ConfigError, RemoteError
from nanowakeword.remote import RemoteStream
from serving.config import ServerConfig
from serving.settings import parse
from tests.serving.running import RunningServer
from tests.tiny_model import tone

REPOSITORY = Path(__file__).parents[2]
HOP = np.zeros(1_280, np.int16)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "serving", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def launch() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts servers and reads the line that says they are ready; what is left at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def launch(*arguments: object) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            command(*arguments), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield launch
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def test_start_detect_and_sigterm(launch: Callable[..., tuple[subprocess.Popen[str], str]], models: list[Path]) -> None:
    process, line = launch("--model", models[0], "--model", models[1], "--port", 0)
    ready = re.fullmatch(r"listening on (127\.0\.0\.1:\d+): beep \(fires at 0\.75\), boop \(fires at 0\.4\)", line)
    assert ready, line
    with RemoteStream(ready[1]) as stream:
        detections = stream.feed(tone(1.0)) + stream.finish()
    assert [detection.model for detection in detections] == ["beep"]
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_a_second_one_hurries(
    launch: Callable[..., tuple[subprocess.Popen[str], str]], models: list[Path], number: signal.Signals
) -> None:
    process, line = launch("--model", models[0], "--port", 0, "--drain-s", 60)
    with RemoteStream(line.split()[2].rstrip(":")) as stream:
        process.send_signal(number)
        until = time.monotonic() + 10
        while not stream.warnings and time.monotonic() < until:
            stream.feed(HOP)
            time.sleep(0.02)
        assert "about to stop" in stream.warnings[0]
        assert process.poll() is None, "the open stream may go on"
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        with pytest.raises(RemoteError, match=r"the server is stopping; connect again"):
            stream.finish()


def test_a_taken_port_is_one_line(server: RunningServer, models: list[Path]) -> None:
    done = run("--model", models[0], "--port", server.port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{server.port}; expected a free port")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    done = run("--model", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert str(path) in done.stderr


def test_two_models_with_one_name_are_refused(models: list[Path], tmp_path: Path) -> None:
    done = run("--model", models[0], "--model", models[0], "--port", 0)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a model is named twice; got " in done.stderr
    copy = shutil.copy(models[0], tmp_path / "copy.onnx")
    done = run("--model", models[0], "--model", copy, "--port", 0)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "two models with one name; got 'beep'" in done.stderr


def test_without_grpc_the_extra_is_named(models: list[Path]) -> None:
    program = (
        "import sys; sys.modules['grpc'] = None; sys.argv[1:] = ['--model', 'm.onnx'];"
        "from serving.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert 'pip install "nanowakeword[serve]"' in done.stderr


BAD = {
    "no model": ([], "no model to serve"),
    "unknown flag": (["--model", "m", "--nonsense"], "unrecognized arguments: --nonsense"),
    "port text": (["--model", "m", "--port", "http"], "bad --port; got 'http'; expected a whole number"),
    "port range": (["--model", "m", "--port", "70000"], "bad port; got 70000"),
    "pipeline": (["--model", "m", "--pipeline", "half"], "bad pipeline; got 'half'; expected full or verifier_only"),
    "threshold": (["--model", "m", "--threshold", "1.5"], "bad threshold; got 1.5"),
    "threshold nan": (["--model", "m", "--threshold", "nan"], "bad threshold; got nan"),
    "threads": (["--model", "m", "--threads", "0"], "bad threads; got 0"),
    "drain": (["--model", "m", "--drain-s", "-1"], "bad drain_s; got -1"),
    "public address": (["--model", "m", "--host", "192.0.2.1"], "or a loopback address such as 127.0.0.1"),
    "an abbreviated key": (["--model", "m", "--api-k", "secret"], "unrecognized arguments: --api-k"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_told(name: str) -> None:
    arguments, text = BAD[name]
    with pytest.raises(ConfigError, match=re.escape(text)):
        parse(arguments)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_addresses_are_taken(host: str) -> None:
    assert parse(["--model", "m", "--host", host]).host == host


def test_addresses_are_written_as_grpc_reads_them() -> None:
    assert ServerConfig(models=(Path("m"),)).address == "127.0.0.1:8765"
    assert ServerConfig(models=(Path("m"),), host="::1", port=1).address == "[::1]:1"


def test_the_import_law_holds_at_run_time() -> None:
    """A server process loads neither torch nor anything of the pipeline."""
    program = (
        "import serving.server, serving.__main__, sys;"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'models', 'steps', 'flows', 'zarr'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.strip() == "[]"
