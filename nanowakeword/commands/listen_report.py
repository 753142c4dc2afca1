"""What ``nanowakeword listen`` shows: events on standard output, the meter and remarks on standard error."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from nanowakeword.arrays import Samples
from nanowakeword.errors import NanoWakewordError, StorageError
from nanowakeword.microphone import MicrophoneEvent, level_dbfs
from nanowakeword.recording_store import Kind
from nanowakeword.results import Detection

__all__ = ["Report"]

_LOWEST_DBFS: Final = -70.0
_HOLD_S: Final = 0.8  # a score is shown for so long: one hop is too short to be seen
_WIDEST_BAR: Final = 30


class Report:
    """Tells what happens, for people or for programs.

    Args:
        phrases: by model name.
        thresholds: by model name.
        as_json: one object per event and line, and no meter.
        live: whether times are those of the clock, or else seconds of the recording.
    """

    def __init__(
        self, *, phrases: Mapping[str, str], thresholds: Mapping[str, float], as_json: bool, live: bool
    ) -> None:
        self._phrases = phrases
        self._thresholds = thresholds
        self._as_json = as_json
        self._live = live
        self._meter = live and not as_json and sys.stderr.isatty()
        self._width = 0
        self._held: dict[str, tuple[float, float]] = {}
        self._waiting = False
        self._server_error: NanoWakewordError | None = None
        self._counts = {"detections": 0, "refused": 0, "near_misses": 0, "microphone_lost": 0, "overflows": 0}

    def show_start(self, source: str) -> None:
        """Listening begins."""
        if self._as_json:
            self._print_json("listening", source=source, thresholds=dict(self._thresholds))
            return
        wanted = ", ".join(f"{self._phrases[name]!r} at {limit:.3g}" for name, limit in self._thresholds.items())
        self._remark(f"listening to {source} for {wanted}" + ("; Ctrl-C ends" if self._live else ""))

    def show_detection(self, detection: Detection) -> None:
        """A phrase was heard."""
        self._counts["detections"] += 1
        if self._as_json:
            self._print_json(
                "detection",
                at_s=round(detection.end_s, 3),
                model=detection.model,
                phrase=detection.phrase,
                score=round(detection.score, 6),
                threshold=self._thresholds[detection.model],
            )
            return
        when = self._clock() if self._live else f"{detection.end_s:.2f} s"
        self._print(f"{when}  {detection.phrase}  {detection.score:.3f}")

    def show_refused(self, detection: Detection) -> None:
        """A phrase was heard that the owner did not say."""
        self._counts["refused"] += 1
        if self._as_json:
            self._print_json("refused", at_s=round(detection.end_s, 3), model=detection.model)
        else:
            self._remark(f"{self._clock()}  {detection.phrase}, in another voice".lstrip())

    def show_server(self, error: NanoWakewordError | None) -> None:
        """Whether the server can be used; told when it changes."""
        if (error is None) == (self._server_error is None):
            return
        self._server_error = error
        if self._as_json:
            self._print_json("server_lost" if error else "server_back", **({"problem": str(error)} if error else {}))
        else:
            self._remark(f"{self._clock()}  {error or 'the server is back'}".lstrip())

    def show_kept(self, kind: Kind, model: str, score: float, path: Path) -> None:
        """A recording was written."""
        self._counts["near_misses"] += kind == "near_miss"
        if self._as_json:
            self._print_json("kept", kind=kind, model=model, score=round(score, 6), file=str(path))
        elif kind == "near_miss":
            self._print(f"{self._clock()}  nearly {self._phrases[model]}  {score:.3f}  {path}".lstrip())

    def show_problem(self, problem: StorageError) -> None:
        """A recording could not be written."""
        if self._as_json:
            self._print_json("not_kept", problem=str(problem))
        else:
            self._remark(f"{problem}; listening goes on")

    def show_microphone(self, event: MicrophoneEvent) -> None:
        """The microphone went or came."""
        self._waiting = event.kind == "lost"
        self._counts["microphone_lost"] += self._waiting
        if self._as_json:
            self._print_json(f"microphone_{event.kind}", device=event.device, away_s=round(event.away_s, 3))
        elif self._waiting:
            self._remark(f"{self._clock()}  microphone lost, waiting for {event.device}")
        else:
            self._remark(f"{self._clock()}  microphone is back after {event.away_s:.1f} s")

    def show_overflows(self, overflows: int) -> None:
        """How often audio has been lost so far."""
        if overflows == self._counts["overflows"]:
            return
        self._counts["overflows"] = overflows
        if self._as_json:
            self._print_json("overflow", overflows=overflows)
        else:
            self._remark(f"{self._clock()}  audio was lost, the machine is too slow or busy; {overflows} so far")

    def show_meter(self, chunk: Samples, scores: Mapping[str, float], gate_score: float | None) -> None:
        """Level and scores, in place; nothing where there is no terminal."""
        if not self._meter:
            return
        now_s = time.monotonic()
        shown = dict(scores) if gate_score is None else {"gate": gate_score, **scores}
        for name, score in shown.items():
            held = self._held.get(name)
            if held is None or score >= held[0] or now_s - held[1] > _HOLD_S:
                self._held[name] = (score, now_s)
        columns = shutil.get_terminal_size().columns - 1
        if self._waiting:
            line = "waiting for the microphone"
        else:
            level = level_dbfs(chunk)
            parts = [("level", f"{level:4.0f} dBFS", 1.0 - max(level, _LOWEST_DBFS) / _LOWEST_DBFS)]
            parts += [(name, f"{held[0]:.3f}", held[0]) for name, held in self._held.items()]
            words = sum(len(name) + len(value) + 6 for name, value, _ in parts)
            bar = max(0, min(_WIDEST_BAR, (columns - words) // len(parts)))
            line = "  ".join(f"{name} {_bar(share, bar)}{value}" for name, value, share in parts)
        line = line[:columns]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def show_end(self, heard_s: float) -> None:
        """Listening is over."""
        if self._as_json:
            self._print_json("end", heard_s=round(heard_s, 3), **self._counts)
            return
        counts = self._counts
        text = f"heard {heard_s:.1f} s: {_count(counts['detections'], 'detection', 'detections')}"
        for key, one, many in (
            ("refused", "other voice", "other voices"),
            ("near_misses", "near miss", "near misses"),
            ("overflows", "loss of audio", "losses of audio"),
            ("microphone_lost", "loss of the microphone", "losses of the microphone"),
        ):
            text += f", {_count(counts[key], one, many)}" if counts[key] else ""
        self._remark(text)

    def clear(self) -> None:
        """Take the meter away."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def _print(self, line: str) -> None:
        self.clear()
        print(line, flush=True)

    def _print_json(self, event: str, **facts: Any) -> None:
        when = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")} if self._live else {}
        self._print(json.dumps({"event": event, **when, **facts}, ensure_ascii=False))

    def _remark(self, line: str) -> None:
        self.clear()
        print(line, file=sys.stderr, flush=True)

    def _clock(self) -> str:
        return datetime.now().astimezone().strftime("%H:%M:%S") if self._live else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _bar(share: float, width: int) -> str:
    """A bar such as ``[###---] ``; nothing where there is no room."""
    if width < 3:
        return ""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "[" + "#" * full + "-" * (width - full) + "] "
