from __future__ import annotations

import io
import sys

import pytest

from nanowakeword.console import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_that_is_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = ProgressLine()
    line.update("recordings", 1, 100)
    line.update("recordings", 2, 100)  # too soon to be shown
    line.update("recordings", 100, 100)
    line.close()
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "\rrecordings: 1 of 100\rrecordings: 100 of 100\n"


def test_an_unfinished_line_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = ProgressLine()
    line.update("recordings", 1, 100)
    line.close()
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "\rrecordings: 1 of 100\n"


def test_a_log_sees_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine()
    for done in range(1, 101):
        line.update("recordings", done, 100)
    line.close()
    assert capsys.readouterr().err == "recordings: 100 of 100\n"
