"""Files that tests read."""

from __future__ import annotations

import wave
from pathlib import Path

from nanowakeword.arrays import Samples

__all__ = ["write_wav"]


def write_wav(path: Path, samples: Samples) -> Path:
    """Write 16-bit mono WAV at 16 kHz and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path
