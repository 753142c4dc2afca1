"""The server as people start it, with several workers: limits hold over all of them, and no secret is to be seen."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nanowakeword.v1 import wakeword_pb2 as pb
from serving.key_ring import ApiKey
from tests.serving.callers import Stream, ask, bearer, key, stub
from tests.serving.running import TIMEOUT_S, wait_for

REPOSITORY = Path(__file__).parents[2]
NAMES = ("caller", "guest", "crowd", "victim")
SECRETS = {name: f"{name}-correct-horse-battery-staple" for name in NAMES}
TYPED = "typed-correct-horse-battery-staple"
MOST_STREAMS, MOST_CALLS = 4, 10


class Program:
    """``python -m serving`` with two workers, in processes of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.audit = folder / "audit.jsonl"
        self.log = folder / "log"
        file = folder / "keys.txt"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}:{ApiKey.of(SECRETS[name], name=name).digest.hex()}\n" for name in NAMES))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.metrics = f"127.0.0.1:{free.getsockname()[1]}"
        flags = (
            f"--model {model} --port 0 --workers 2 --api-key-file {file} --api-key {TYPED} --enable-tokens "
            f"--rate-limit {MOST_CALLS} --rate-window 600 --max-connections-per-identity {MOST_STREAMS} "
            f"--trusted-proxies 127.0.0.1 --audit-log {self.audit} --metrics {self.metrics} --drain-s 0"
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving", *flags.split()], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        match = re.fullmatch(r"listening on (\S+) with 2 workers\n", self.process.stdout.readline().decode())
        assert match, self.log.read_text()
        self.address = match[1]

    def workers(self) -> list[int]:
        """Their process ids."""
        found = [
            int(word)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
        return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def listening(self) -> int:
        """How many of them take connections; the parent has the port, too, and does not."""
        port = f":{int(self.address.rpartition(':')[2]):04X}"
        lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
        rows = [line.split() for line in lines]
        return sum(row[1].endswith(port) and row[3] == "0A" for row in rows)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, models: list[Path]) -> Iterator[Program]:
    program = Program(tmp_path_factory.mktemp("program"), models[0])
    try:
        yield program
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(60) == 0
    finally:
        program.process.kill()
        program.process.communicate(timeout=10)


def caller(name: str, number: int = 1, metadata: Any = None) -> Any:
    """Metadata of a caller at an address of its own; each call by it goes over a new connection, to any worker."""
    return (*(key(SECRETS[name]) if metadata is None else metadata), ("x-forwarded-for", f"192.0.2.{number}"))


def test_a_rate_holds_over_workers(program: Program) -> None:
    codes = [ask(program.address, caller("caller", number))[0] for number in range(3 * MOST_CALLS)]
    assert codes == ["OK"] * MOST_CALLS + ["RESOURCE_EXHAUSTED"] * 2 * MOST_CALLS


def test_tokens_and_their_end_hold_over_workers(program: Program) -> None:
    with stub(program.address) as service:
        issued = service.IssueToken(pb.IssueTokenRequest(), metadata=caller("guest"), timeout=TIMEOUT_S)
    tokens = caller("guest", 2, bearer(issued.token))
    with Stream(program.address, tokens) as one, Stream(program.address, tokens) as other:
        assert one.opened()
        assert other.opened()
        assert {ask(program.address, tokens)[0] for _ in range(4)} == {"OK"}
        with stub(program.address) as service:
            service.RevokeToken(
                pb.RevokeTokenRequest(token=issued.token), metadata=caller("guest", 3), timeout=TIMEOUT_S
            )
        assert one.end()[0] == other.end()[0] == "UNAUTHENTICATED"
        assert {ask(program.address, tokens)[0] for _ in range(6)} == {"UNAUTHENTICATED"}


def test_a_ban_holds_over_workers(program: Program) -> None:
    wrong = caller("caller", 77, key("wrong"))
    assert [ask(program.address, wrong)[0] for _ in range(12)] == ["UNAUTHENTICATED"] * 10 + ["PERMISSION_DENIED"] * 2
    assert {ask(program.address, caller("guest", 77))[0] for _ in range(6)} == {"PERMISSION_DENIED"}


def test_streams_are_counted_over_workers(program: Program) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(program.address, caller("crowd", number))) for number in range(8)]
        assert sum(stream.opened() for stream in streams) == MOST_STREAMS


def test_streams_of_a_killed_worker_are_not_counted_for_ever(program: Program) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(program.address, caller("victim", number))) for number in range(4)]
        assert all(stream.opened() for stream in streams)
        for worker in program.workers():
            os.kill(worker, signal.SIGKILL)
        assert {stream.end()[0] for stream in streams} == {"UNAVAILABLE"}

    def is_free() -> bool:
        with Stream(program.address, caller("victim", 9)) as stream:
            return stream.opened()

    wait_for(is_free, timeout_s=60.0)
    wait_for(lambda: program.listening() == 2, timeout_s=60.0)


def test_no_secret_is_to_be_seen(program: Program) -> None:
    assert ask(program.address, caller("caller", 88, key(TYPED)))[0] == "OK", "the key of the command line counts"
    with stub(program.address) as service:
        token = service.IssueToken(
            pb.IssueTokenRequest(), metadata=caller("caller", 89, key(TYPED)), timeout=TIMEOUT_S
        ).token
    ask(program.address, caller("caller", 90, key("wrong-key-that-somebody-typed")))
    with urllib.request.urlopen(f"http://{program.metrics}/metrics", timeout=TIMEOUT_S) as page:
        metrics = page.read()
    pids = [program.process.pid, *program.workers()]
    seen = {
        **{f"arguments of {pid}": Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids},
        # Its own environment has them: only its user and root can read it, and no worker gets it.
        **{f"environment of {pid}": Path(f"/proc/{pid}/environ").read_bytes() for pid in pids[1:]},
        "metrics": metrics,
        "log": program.log.read_bytes(),
        "audit log": program.audit.read_bytes(),
    }
    assert b"readable by all users" in seen["log"], "and whoever typed it is told"
    assert b"nanowakeword_refusals_total" in metrics
    assert b'"identity": "key-1"' in seen["audit log"]
    secrets = [*SECRETS.values(), TYPED, token, token.split(".")[2], "wrong-key-that"]
    assert [(where, secret) for where, text in seen.items() for secret in secrets if secret.encode() in text] == []
