"""Several processes behind one port: they share it, are started again, and end together."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nanowakeword.errors import ConfigError, RemoteError
from nanowakeword.remote import RemoteStream
from serving.workers import reserve_port
from tests.serving.running import wait_for
from tests.tiny_model import tone

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 30.0


class Program:
    """A program with two workers."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        pids: list[int] = []
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += map(int, task.read_text().split())
        return sorted(pid for pid in pids if b"spawn_main" in command_of(pid))

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: the exit status, and what was said on the way."""
        output, errors = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, output, errors


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def launch() -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def launch(*arguments: object) -> Program:
        programs.append(Program(*arguments))
        return programs[-1]

    yield launch
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
        program.process.communicate(timeout=LIMIT_S)


@pytest.fixture
def crew(launch: Callable[..., Program]) -> Callable[..., Program]:
    return lambda *arguments: launch("tests.serving.crew_program", *arguments)


def answered_by(port: int) -> str:
    """Number of the worker that takes a connection; empty for one that is just being killed."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
            return client.recv(16).decode()
    except ConnectionError:
        return ""


def test_the_server_runs_in_several_processes(launch: Callable[..., Program], models: list[Path]) -> None:
    program = launch("serving", "--workers", 2, "--model", models[0], "--port", 0)
    line = program.line()
    ready = re.fullmatch(r"listening on (\S+) with 2 workers", line)
    assert ready, line

    def detects() -> bool:
        with contextlib.suppress(RemoteError), RemoteStream(ready[1]) as stream:
            return bool(stream.feed(tone(1.0)) + stream.finish())
        return False

    assert all(detects() for _ in range(4))
    workers = program.workers
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    wait_for(detects, timeout_s=LIMIT_S)
    wait_for(lambda: len(set(program.workers) - {workers[0]}) == 2, timeout_s=LIMIT_S)
    program.process.send_signal(signal.SIGTERM)
    status, _, errors = program.end()
    assert status == 0, errors
    assert not any(command_of(pid) for pid in workers)


def test_a_worker_that_dies_is_started_again(crew: Callable[..., Program]) -> None:
    program = crew("answer")
    port = int(program.line().split()[1])
    seen = {answered_by(port) for _ in range(200)}
    assert seen == {"0", "1"}, "the kernel gives connections to both"
    first, second = program.workers
    os.kill(first, signal.SIGKILL)
    assert program.line() == f"gone {first}"
    assert len({answered_by(port) for _ in range(20)} - {""}) == 1, "the other one serves on"
    wait_for(lambda: {answered_by(port) for _ in range(20)} == {"0", "1"}, timeout_s=LIMIT_S)
    assert second in program.workers
    last = program.workers
    program.process.send_signal(signal.SIGTERM)
    status, output, errors = program.end()
    assert (status, sorted(output.split())) == (0, sorted(f"gone {last[0]} gone {last[1]}".split()))
    assert re.search(r"worker [01] ended with status -9; it is started again in 0\.5 s", errors)


def test_workers_do_not_outlive_their_parent(crew: Callable[..., Program]) -> None:
    program = crew("answer")
    program.line()
    workers = program.workers
    assert len(workers) == 2
    program.process.kill()
    wait_for(lambda: not any(command_of(pid) for pid in workers))


def test_a_worker_that_cannot_start_ends_all(crew: Callable[..., Program]) -> None:
    status, output, _ = crew("fail").end()
    assert status == 1
    assert "ready" not in output
    assert output.count("gone") == 2


def test_each_signal_is_handed_on(crew: Callable[..., Program]) -> None:
    program = crew("stubborn")
    program.line()
    program.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        program.process.wait(0.3)
    program.process.send_signal(signal.SIGINT)
    status, output, _ = program.end()
    assert (status, output.count("gone")) == (1, 2), "they did not end as they should"


def test_a_worker_that_drains_is_not_hurried_by_the_end_of_another(crew: Callable[..., Program]) -> None:
    program = crew("drain")
    program.line()
    program.process.send_signal(signal.SIGTERM)
    assert program.end()[0] == 0


def test_ctrl_c_in_a_terminal_is_told_once(crew: Callable[..., Program]) -> None:
    """The terminal signals the whole group; a worker that got two would not drain."""
    program = crew("answer")
    program.line()
    assert all(os.getpgid(pid) == pid for pid in program.workers)


def test_a_port_is_reserved_and_not_listened_on() -> None:
    with reserve_port("127.0.0.1", 0) as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", port))
            worker.listen()
            for _ in range(20):
                socket.create_connection(("127.0.0.1", port), timeout=5.0).close()


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_somebody_has(shares: bool) -> None:
    with socket.socket() as other:
        if shares:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}; got Address already in use"),
            reserve_port("127.0.0.1", port),
        ):
            pass
