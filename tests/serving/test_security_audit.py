"""The audit log when things go wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanowakeword.errors import ConfigError
from serving.audit import Audit


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_strangers_do_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("serving.audit.time.monotonic", lambda: now_s)
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    for _ in range(1_000):
        audit.record("refused", reason="credentials", address="192.0.2.1")
    audit.record("admitted", identity="kitchen")
    assert len(read(path)) == 21, "what is no refusal is always told"
    assert read(path)[-1]["refusals_left_out"] == 980
    now_s = 101.0
    audit.record("refused", reason="ban", address=None)
    assert read(path)[-1].keys() == {"time", "event", "reason"}
    audit.close()
    audit.close()


def test_a_name_cannot_make_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    Audit(path).record("admitted", identity='x"}\n{"event": "admitted", "identity": "root')
    assert len(read(path)) == 1


def test_several_workers_append(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    one, other = Audit(path), Audit(path)
    for _ in range(3):
        one.record("admitted", identity="a")
        other.record("admitted", identity="b")
    assert [row["identity"] for row in read(path)] == ["a", "b"] * 3


def test_a_full_disk_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    audit = Audit(Path("/dev/full"))
    audit.record("admitted", identity="kitchen")
    assert "the audit log cannot be written" in caplog.text
    assert "kitchen" in caplog.text, "it is told elsewhere"


def test_a_file_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write the audit log .*No such file"):
        Audit(tmp_path / "none" / "audit.jsonl")
    assert not list(tmp_path.iterdir())
