"""Files of recordings that are kept: 16-bit WAV, lines of JSON, each written beside and then renamed."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanowakeword.arrays import Samples
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["replace_file", "to_line", "to_wav"]


def to_wav(samples: Samples) -> bytes:
    """A WAV file of int16 ``[n]``, 16 kHz mono."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def to_line(row: Mapping[str, Any]) -> bytes:
    """A line of JSON."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside, then rename it; a write that fails leaves nothing behind.

    Raises:
        OSError: the disk is full or refuses.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
