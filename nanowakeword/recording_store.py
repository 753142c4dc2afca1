"""A folder of kept recordings that does not outgrow its size: WAV files, and a line of JSON for each in one index."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.kept_files import replace_file, to_line, to_wav

__all__ = ["INDEX", "Kept", "Kind", "RecordingStore"]

Kind = Literal["detection", "near_miss"]

INDEX: Final = "misses.jsonl"
_UNSAFE: Final = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What ``misses.jsonl`` says of a recording.

    Attributes:
        file: its name in the folder.
        time: when the peak was, ISO 8601, UTC.
        model: name of the model.
        score: at the peak.
        threshold: at or above which the model fires.
        kind: ``detection`` or ``near_miss``.
    """

    file: str
    time: str
    model: str
    score: float
    threshold: float
    kind: Kind


class RecordingStore:
    """A folder of recordings. For any number of threads; only one process may use a folder.

    Only files that its own ``misses.jsonl`` names are ever removed.

    Args:
        folder: made if it is not there.
        max_mb: size of all recordings, in 10^6 bytes; the oldest go first.

    Raises:
        ConfigError: the size is not above 0.
        StorageError: the folder cannot be made or written to.
    """

    def __init__(self, folder: str | Path, *, max_mb: float = 500.0) -> None:
        if not max_mb > 0:
            raise ConfigError("bad size of kept recordings", got=repr(max_mb), expected="megabytes, above 0")
        self._folder = Path(folder)
        self._most_bytes = max_mb * 1e6
        self._lock = threading.Lock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rows = self._read_index()
            # Seen now rather than at the first detection, hours later.
            with (self._folder / INDEX).open("ab"):
                pass
        except OSError as error:
            raise StorageError(f"cannot keep recordings in {self._folder}", got=error.strerror) from None

    def save(self, samples: Samples, *, at: datetime, model: str, score: float, threshold: float, kind: Kind) -> Path:
        """Write a recording, then forget the oldest ones.

        Args:
            samples: int16 ``[n]``, 16 kHz mono.
            at: when the peak was.
            model: name of the model.
            score: at the peak.
            threshold: at or above which the model fires.
            kind: what it is.

        Raises:
            StorageError: the disk is full or refuses to write.
        """
        at = at.astimezone(UTC)
        stamp = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z"
        data = to_wav(samples)
        with self._lock:
            name = self._free_name(f"{stamp}_{_UNSAFE.sub('_', model)[:80]}_{kind}")
            kept = Kept(
                file=name,
                time=at.isoformat(timespec="milliseconds"),
                model=model,
                score=round(score, 6),
                threshold=round(threshold, 6),
                kind=kind,
            )
            try:
                replace_file(self._folder / name, data)
                with (self._folder / INDEX).open("ab") as file:
                    file.write(to_line(asdict(kept)))
                self._rows.append((asdict(kept), len(data)))
                self._forget_oldest()
            except OSError as error:
                raise StorageError(f"cannot keep recordings in {self._folder}", got=error.strerror) from None
        return self._folder / name

    def _free_name(self, stem: str) -> str:
        name, number = f"{stem}.wav", 1
        while (self._folder / name).exists():
            number += 1
            name = f"{stem}_{number}.wav"
        return name

    def _forget_oldest(self) -> None:
        total = sum(size for _, size in self._rows)
        if total <= self._most_bytes:
            return
        # Some more than need be, so that the index is not written anew for each recording from now on.
        while len(self._rows) > 1 and total > 0.9 * self._most_bytes:
            row, size = self._rows.pop(0)
            (self._folder / row["file"]).unlink(missing_ok=True)
            total -= size
        replace_file(self._folder / INDEX, b"".join(to_line(row) for row, _ in self._rows))

    def _read_index(self) -> list[tuple[dict[str, Any], int]]:
        """Lines and sizes of the recordings that are there; what is no line of ours is left out."""
        path = self._folder / INDEX
        rows = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                row = json.loads(line)
                recording = self._folder / row["file"]
            except (ValueError, TypeError, KeyError):  # a line cut short by a crash
                continue
            # Nothing outside of the folder, whatever the index says.
            if recording.name == row["file"] and recording.suffix == ".wav" and recording.is_file():
                rows.append((row, recording.stat().st_size))
        return rows
