"""Files that tests read."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import soundfile

from nanowakeword.arrays import Samples

__all__ = ["flac_that_claims", "wav_that_claims", "write_wav"]


def write_wav(path: Path, samples: Samples) -> Path:
    """Write 16-bit mono WAV at 16 kHz and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def flac_that_claims(*, samples: int) -> bytes:
    """A FLAC file of 4,096 samples of eight channels at 384 kHz, whose header claims another number of samples."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((4_096, 8), np.int16), 384_000, format="FLAC")
    data = bytearray(file.getvalue())
    assert data[:4] == b"fLaC"
    data[21:26] = (data[21] >> 4 << 36 | samples).to_bytes(5, "big")
    return bytes(data)


def wav_that_claims(*, rate_hz: int) -> bytes:
    """A WAV file of another sample rate than any recording has."""
    kind = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz % 2**32, 2, 16)
    return struct.pack("<4sI8sI16s4sI", b"RIFF", 236, b"WAVEfmt ", 16, kind, b"data", 200) + bytes(200)
