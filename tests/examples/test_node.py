"""The example in Node, installed from its lock file and run against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.graph import Graph
from nanowakeword.stream import DetectionStream
from serving.key_ring import ApiKey
from tests.certificates import Authority
from tests.nanowakeword.audio_files import write_wav
from tests.serving.running import LoopThread, RunningServer
from tests.tiny_model import silence, tone, write_tiny_model

REPOSITORY = Path(__file__).parents[2]
KEY = "a key that nobody guesses".replace(" ", "-")
# What npm says where it cannot reach a registry; anything else is a fault of the lock file.
UNREACHABLE = ("ENOTFOUND", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "EAI_AGAIN", "ENOTCACHED")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, with its packages."""
    lacking = [program for program in ("node", "npm") if shutil.which(program) is None]
    if lacking:
        pytest.skip(f"{' and '.join(lacking)} is not installed: the example in Node is not tested here")
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(REPOSITORY / "protos", root / "protos")
    folder = root / "examples" / "node"
    shutil.copytree(REPOSITORY / "examples" / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip("npm reaches no registry: the example in Node is not tested here")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(example: Path) -> Run:
    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["node", "detect.js", *map(str, arguments)],
            cwd=example,
            # Node warns of TLS to bare addresses, which only tests connect to.
            env={"PATH": os.environ["PATH"], "NODE_NO_WARNINGS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "beep.onnx")


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


@pytest.fixture(scope="module")
def server(loop: LoopThread, model: Path) -> Iterator[RunningServer]:
    with RunningServer(loop, models=(model,)) as running:
        yield running


@pytest.fixture
def recording(tmp_path: Path) -> tuple[Path, Samples]:
    samples = np.concatenate([silence(0.5), tone(0.6), silence(2.2), tone(0.5), silence(0.21)])
    return write_wav(tmp_path / "a.wav", samples), samples


def assert_heard(done: subprocess.CompletedProcess[str], model: Path, samples: Samples) -> None:
    stream = DetectionStream(Graph.load(model))
    expected = stream.feed(samples) + stream.flush()
    assert len(expected) == 2
    assert (done.returncode, done.stderr) == (0, "")
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["model"], one["phrase"]) for one in heard] == [("beep", "beep")] * 2
    for key in ("start_s", "end_s", "score"):
        assert [one[key] for one in heard] == pytest.approx([getattr(one, key) for one in expected], abs=1e-4)


@pytest.mark.parametrize("options", [[], ["--real-time", "--model", "beep"]])
def test_it_hears_what_the_local_runtime_hears(
    run: Run, server: RunningServer, model: Path, recording: tuple[Path, Samples], options: list[str]
) -> None:
    assert_heard(run(recording[0], "--address", server.address, *options), model, recording[1])


def test_tls_and_a_key_from_a_file_or_the_environment(
    run: Run, loop: LoopThread, model: Path, recording: tuple[Path, Samples], tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "authority")
    pair = authority.issue("server")
    key_file = tmp_path / "key.txt"
    key_file.write_text(f"{KEY}\n", encoding="ascii")
    with RunningServer(
        loop,
        models=(model,),
        ssl_certfile=pair.certificate,
        ssl_keyfile=pair.key,
        api_keys=(ApiKey.of(KEY, name="kitchen"),),
    ) as server:
        arguments = [recording[0], "--address", server.address, "--ca", authority.path]
        assert_heard(run(*arguments, "--api-key-file", key_file), model, recording[1])
        assert_heard(run(*arguments, NANOWAKEWORD_API_KEY=KEY), model, recording[1])
        refused = run(*arguments)
    assert refused.returncode == 1
    assert refused.stderr == "error: UNAUTHENTICATED: credentials are missing, wrong or expired\n"


def test_errors_are_one_line(run: Run, server: RunningServer, recording: tuple[Path, Samples], tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("hello, this is no recording", encoding="ascii")
    cases: list[tuple[list[object], str]] = [
        ([], "expected one recording"),
        ([text], "is no WAV file"),
        ([tmp_path / "none.wav"], "ENOENT"),
        ([recording[0], "--model", "alexa", "--address", server.address], "NOT_FOUND: this server has no such model"),
        ([recording[0], "--address", "127.0.0.1:1"], "UNAVAILABLE: No connection established"),
    ]
    for arguments, expected in cases:
        done = run(*arguments)
        assert done.returncode == 1
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    done = run(recording[0], "--address", "192.0.2.1:8765", NANOWAKEWORD_API_KEY=KEY)
    assert "would cross the network in the clear" in done.stderr
    assert KEY not in done.stderr


def test_the_lock_names_no_registry() -> None:
    lock = (REPOSITORY / "examples" / "node" / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in lock
    packages = json.loads(lock)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    wanted = json.loads((REPOSITORY / "examples" / "node" / "package.json").read_text(encoding="utf-8"))
    assert packages[""]["dependencies"] == wanted["dependencies"]
