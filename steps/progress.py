"""What a stage tells of its progress: a line in the terminal, and JSON lines for whoever watches.

The file named by the environment variable ``NANOWAKEWORD_PROGRESS_FILE`` gets one JSON object per report,
``{"stage", "done", "total", "unit", "note", "seconds"}`` and perhaps ``"facts"``; without the variable nothing is
written. A terminal sees one line that is refreshed in place, or a table where one is asked for; a log file sees a line
at most every ten seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["PROGRESS_FILE_VARIABLE", "Progress"]

PROGRESS_FILE_VARIABLE: Final = "NANOWAKEWORD_PROGRESS_FILE"
_TERMINAL_PERIOD_S: Final = 0.2
_LOG_PERIOD_S: Final = 10.0


class Progress:
    """Reports of one stage.

    Args:
        stage: name of the stage.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._started = time.monotonic()
        self._last_shown = float("-inf")
        self._base = (0, self._started)
        self._last_done: int | None = None
        self._width = 0
        self._live: Live | None = None
        file = os.environ.get(PROGRESS_FILE_VARIABLE)
        self._file = Path(file) if file else None

    @contextmanager
    def table(self) -> Iterator[None]:
        """While it is open, a terminal sees the facts of each report as a table, refreshed in place."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console  # a terminal's only
        from rich.live import Live

        with Live(console=Console(stderr=True), auto_refresh=False) as self._live:
            try:
                yield
            finally:
                self._live = None

    def update(
        self, done: int, total: int, *, unit: str, note: str = "", facts: Mapping[str, str] | None = None
    ) -> None:
        """Report ``done`` of ``total`` units, for example clips or steps.

        Args:
            done: so many are done.
            total: of so many.
            unit: what is counted.
            note: short, such as a loss.
            facts: what there is to tell besides, by name.
        """
        now = time.monotonic()
        if self._last_done is None or done < self._last_done:
            # The speed counts from here: not what an interrupted run had done before, nor another piece of work.
            self._base = (done, now)
        self._last_done = done
        terminal = sys.stderr.isatty()
        period = _TERMINAL_PERIOD_S if terminal else _LOG_PERIOD_S
        if done < total and now - self._last_shown < period:
            return
        self._last_shown = now
        base_done, base_s = self._base
        rate = (done - base_done) / (now - base_s) if now > base_s else 0.0
        speed = f", {rate:.1f}/s" if rate > 0 else ""
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
        count = f"{done}/{total} {unit}{speed}{left}"
        if self._live is not None and facts:
            self._live.update(_table(f"{self._stage}: {note}", {"done": count, **facts}), refresh=True)
        else:
            line = f"{self._stage}: {count}{'  ' + note if note else ''}"
            self._show(line, final=done >= total, terminal=terminal)
        self._report(done=done, total=total, unit=unit, note=note, **({"facts": dict(facts)} if facts else {}))

    def say(self, note: str) -> None:
        """Tell something once, for example that an engine is missing."""
        self._show(f"{self._stage}: {note}", final=True, terminal=sys.stderr.isatty())
        self._report(done=0, total=0, unit="", note=note)

    def _show(self, line: str, *, final: bool, terminal: bool) -> None:
        if terminal:
            sys.stderr.write("\r" + line.ljust(self._width) + ("\n" if final else ""))
            self._width = 0 if final else len(line)
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def _report(self, **entry: Any) -> None:
        if self._file is not None:
            entry = {"stage": self._stage, **entry, "seconds": round(time.monotonic() - self._started, 3)}
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _table(title: str, facts: Mapping[str, str]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    return table
