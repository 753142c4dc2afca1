"""Real recordings: what the stage corpus found out about them, and their samples."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio

__all__ = ["KEYWORD", "RealSplit", "Recording", "load_recordings", "read_recording"]

KEYWORD: Final = "keyword:"
RealSplit = Literal["train", "calibration", "test"]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is known of one real recording.

    Attributes:
        path: absolute.
        kind: ``keyword:<phrase>``, speech, noise, music or rir.
        split: the part of the experiment it belongs to.
        speaker: name, or empty.
        source: where it comes from.
        licence: as the manifest says.
        seconds: length, as decoded.
    """

    path: str
    kind: str
    split: RealSplit
    speaker: str
    source: str
    licence: str
    seconds: float

    def is_of(self, phrase: str) -> bool:
        """Whether it is a recording of this phrase."""
        return self.kind.casefold() == f"{KEYWORD}{' '.join(phrase.split())}".casefold()


def load_recordings(folder: Path) -> list[Recording]:
    """Recordings that the stage wrote into a folder."""
    rows = [json.loads(line) for line in (folder / "recordings.jsonl").read_text("utf-8").splitlines()]
    # Copies that the stage made lie in the folder itself, wherever that is.
    return [Recording(**{**row, "path": os.path.normpath(folder.absolute() / row["path"])}) for row in rows]


def read_recording(path: str | Path, *, start_s: float = 0.0, seconds: float | None = None) -> Audio:
    """Decode a recording or a part of it: float32 ``[n]``, full scale 1, 16 kHz, channels averaged.

    Raises:
        ConfigError: it can no longer be read.
    """
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            rate: int = file.samplerate
            file.seek(min(round(start_s * rate), file.frames))
            audio = file.read(-1 if seconds is None else round(seconds * rate), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise ConfigError(
            f"cannot read recording {path}: {' '.join(str(error).split())}", hint="Run the stage corpus"
        ) from None
    mono = audio.mean(axis=1)
    return np.asarray(mono if rate == SAMPLE_RATE_HZ else soxr.resample(mono, rate, SAMPLE_RATE_HZ), np.float32)
