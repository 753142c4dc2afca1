"""Recordings opened for the first time: decoded whole, measured, and named if they cannot be used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from nanowakeword.audio import lacking_bytes
from steps.listing import Listed
from steps.settings import RawAudio
from steps.splits import Sound

__all__ = ["RAW_SUFFIXES", "check_sound", "convert_raw"]

RAW_SUFFIXES: Final = frozenset({".raw", ".pcm"})
_SUBTYPES: Final = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
_BLOCK_FRAMES: Final = 30 * 48_000


def check_sound(listed: Listed, *, raw: RawAudio) -> Sound | str:
    """Decode a file, in blocks.

    Args:
        listed: the recording.
        raw: form of a file without a header.

    Returns:
        Its length and the hash of its samples, or what is wrong with it.
    """
    import soundfile

    digest, frames = hashlib.sha256(), 0
    try:
        if problem := _at_first_sight(listed.path, raw):
            return problem
        with soundfile.SoundFile(listed.path, **_form(listed.path, raw)) as file:
            rate: int = file.samplerate
            floats = file.subtype in {"FLOAT", "DOUBLE"}
            digest.update(f"{rate} {file.channels}".encode())
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32" if floats else "int16")):
                if floats and not np.isfinite(block).all():
                    return "samples that are not numbers"
                digest.update(block.tobytes())
                frames += len(block)
    except FileNotFoundError:
        return "no such file"
    except (soundfile.SoundFileError, OSError) as error:
        return " ".join(str(error).split()).rstrip(".")
    if frames == 0:
        return "no samples"
    return Sound(listed=listed, seconds=frames / rate, digest=digest.hexdigest())


def convert_raw(path: Path, target: Path, *, raw: RawAudio) -> None:
    """Copy a file without a header into a 16-bit FLAC file of the same rate and channels, so that all can read it."""
    import soundfile

    with (
        soundfile.SoundFile(path, **_form(path, raw)) as source,
        soundfile.SoundFile(
            target, "w", samplerate=source.samplerate, channels=source.channels, format="FLAC", subtype="PCM_16"
        ) as copy,
    ):
        while len(block := source.read(_BLOCK_FRAMES, dtype="int16")):
            copy.write(block)


def _form(path: Path, raw: RawAudio) -> dict[str, Any]:
    """What must be told to open a file: nothing, unless it has no header."""
    if path.suffix.lower() not in RAW_SUFFIXES:
        return {}
    return {
        "format": "RAW",
        "samplerate": raw.rate_hz,
        "channels": raw.channels,
        "subtype": _SUBTYPES[raw.width_bytes],
        "endian": "LITTLE",
    }


def _at_first_sight(path: Path, raw: RawAudio) -> str:
    """What libsndfile would pass over: a recording cut short, or a file of another form than was said."""
    with path.open("rb") as file:
        lacking = lacking_bytes(file)
        size = path.stat().st_size
    if lacking:
        return f"cut short: {lacking} bytes less than its header names"
    if path.suffix.lower() in RAW_SUFFIXES and size % (raw.width_bytes * raw.channels):
        return (
            f"{size} bytes are no whole number of samples of {raw.width_bytes} bytes in {raw.channels} channels; "
            "corpus.raw says so"
        )
    return ""
