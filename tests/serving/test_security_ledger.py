"""What workers agree on: debts, bans, counts, over processes that come and go."""

from __future__ import annotations

import fcntl
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.counts import Counts
from serving.ledger import Ledger, ledger_file
from serving.marks import Marks

WINDOW_S = 1_000.0


@pytest.fixture
def path() -> Iterator[Path]:
    with ledger_file() as path:
        yield path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path) as ledger:
        yield ledger


def test_nobody_else_can_enter_and_nothing_is_left(tmp_path: Path) -> None:
    with ledger_file() as path:
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with Ledger(path) as ledger:
            secret = ledger.secret
        assert len(secret) == 32
    assert not path.parent.exists()
    with ledger_file() as other, Ledger(other) as ledger:
        assert ledger.secret != secret


def test_what_a_killed_server_left_is_removed_by_the_next_one(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=leave_behind, args=(theirs,))
    child.start()
    assert mine.poll(30)
    left = Path(mine.recv())
    with ledger_file():
        assert left.exists(), "it is still in use"
    child.kill()
    child.join(10)
    assert left.exists()
    with ledger_file():
        assert not left.parent.exists()
        assert path.exists(), "that of another server"


def leave_behind(pipe: Any) -> None:
    with ledger_file() as path:
        pipe.send(str(path))
        time.sleep(60)


def test_a_window_can_be_used_at_once_and_then_comes_back(ledger: Ledger) -> None:
    marks = ledger.identities
    spent = [marks.spend("a", cost_s=WINDOW_S / 5, most_s=WINDOW_S) for _ in range(7)]
    assert spent == [True] * 5 + [False] * 2
    assert marks.spend("b", cost_s=WINDOW_S, most_s=WINDOW_S), "others pay for themselves"
    assert not marks.spend("c", cost_s=WINDOW_S * 1.01, most_s=WINDOW_S), "nor at once what is above the limit"
    quick = [marks.spend("d", cost_s=0.05, most_s=0.1) for _ in range(3)]
    assert quick[:2] == [True, True]
    time.sleep(0.11)
    assert marks.spend("d", cost_s=0.05, most_s=0.1)


def test_marks_end_and_never_get_shorter(ledger: Ledger) -> None:
    marks = ledger.addresses
    assert marks.left_s("a") == 0.0
    marks.mark("a", for_s=100.0)
    marks.mark("a", for_s=1.0)
    assert 99.0 < marks.left_s("a") <= 100.0
    marks.mark("b", for_s=0.05)
    time.sleep(0.06)
    assert marks.left_s("b") == 0.0
    marks.clear("a")
    assert marks.left_s("a") == 0.0
    assert ledger.revoked.left_s("a") == 0.0, "tables are apart"


def test_a_full_table_forgets_what_ends_first_or_refuses(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.marks._BUCKETS", 1)
    for number in range(8):
        assert ledger.revoked.mark(f"token {number}", for_s=100.0 + number, evict=False)
    assert not ledger.revoked.mark("one more", for_s=1_000.0, evict=False)
    assert all(ledger.revoked.left_s(f"token {number}") for number in range(8))
    assert ledger.revoked.mark("token 3", for_s=500.0, evict=False), "a known one needs no room"
    assert ledger.revoked.mark("one more", for_s=1_000.0)
    assert ledger.revoked.left_s("token 0") == 0.0
    assert ledger.revoked.left_s("one more") > 0.0


def test_streams_are_counted_over_workers(path: Path) -> None:
    with Ledger(path, worker=0) as first, Ledger(path, worker=1) as second:
        entered = [one.streams.enter("a", most=3) for one in (first, second, first, second, first)]
        assert entered == [True, True, True, False, False]
        assert first.streams.total("a") == second.streams.total("a") == 3
        first.streams.leave("a")
        assert second.streams.enter("a", most=3)
        second.close()
        assert first.streams.total("a") == 1, "a worker that ends leaves nothing"
        first.streams.leave("a")
        first.streams.leave("a")
        assert first.streams.total("a") == 0


def test_a_full_table_of_counts_refuses(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.counts._BUCKETS", 1)
    assert [ledger.streams.enter(f"caller {number}", most=None) for number in range(9)] == [True] * 8 + [False]
    ledger.streams.leave("caller 5")
    assert ledger.streams.enter("another", most=None)


def test_what_a_dead_worker_had_open_is_cleared(path: Path) -> None:
    with Ledger(path, worker=0) as ledger:
        child = multiprocessing.get_context("spawn").Process(target=hold, args=(path,))
        child.start()
        while ledger.streams.total("a") < 2:
            time.sleep(0.01)
            assert child.is_alive()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(10)
        assert ledger.streams.enter("a", most=None)
        assert ledger.streams.total("a") == 3
        Ledger.forget(path, child.pid)
        assert ledger.streams.total("a") == 1


def hold(path: Path) -> None:
    ledger = Ledger(path, worker=5)
    ledger.streams.enter("a", most=None)
    ledger.streams.enter("a", most=None)
    time.sleep(60)


WRITES: dict[str, Callable[[Ledger], object]] = {
    "spend": lambda ledger: ledger.identities.spend("a", cost_s=1.0, most_s=WINDOW_S),
    "mark": lambda ledger: ledger.revoked.mark("a", for_s=1.0),
    "forget a mark": lambda ledger: ledger.addresses.clear("a"),
    "enter": lambda ledger: ledger.streams.enter("a", most=None),
    "leave": lambda ledger: ledger.streams.leave("a"),
    "forget a worker": lambda ledger: ledger.streams.clear(1),
}


@pytest.mark.parametrize("name", WRITES)
def test_one_writes_at_a_time(path: Path, ledger: Ledger, name: str) -> None:
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as another process would hold it
        writing = threading.Thread(target=WRITES[name], args=(ledger,))
        writing.start()
        writing.join(0.1)
        assert writing.is_alive()
        fcntl.flock(other, fcntl.LOCK_UN)
        writing.join(10)
        assert not writing.is_alive()


def test_the_parts_do_not_overlap() -> None:
    assert Marks.SIZE % 8 == 0
    assert Counts.SIZE % 8 == 0
    with ledger_file() as path, Ledger(path) as ledger:
        starts = [ledger.addresses._start, ledger.identities._start, ledger.revoked._start, ledger.streams._start]
        assert [b - a for a, b in itertools.pairwise(starts)] == [Marks.SIZE] * 3
        assert path.stat().st_size >= starts[-1] + Counts.SIZE
