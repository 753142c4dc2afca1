"""Audio in: files of any kind, and the check of what a program feeds.

16-bit mono WAV at 16 kHz is read with the standard library alone; everything else, other rates and channels included,
needs the extra ``audio`` (soundfile for the formats, soxr for the rates).
"""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import AudioError, DependencyError
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["check_chunk", "lacking_bytes", "read_audio"]

_FORMATS: Final = "a recording such as WAV, FLAC, Ogg or MP3"
_BLOCK_S: Final = 30  # decoded at a time: a recording of many hours needs memory for its 16 kHz samples only
# Programs that write WAV into a pipe put a length near the largest possible one into its header.
_UNKNOWN_BYTES: Final = 0x7FFF_0000
_FULL_SCALE: Final = 32_768.0


def check_chunk(audio: Samples) -> Samples:
    """Return audio that a stream can take: int16 ``[n]``, any ``n``, 0 included.

    Raises:
        AudioError: it is something else; nothing is converted silently.
    """
    if not isinstance(audio, np.ndarray):
        raise AudioError(
            "a chunk of audio",
            got=type(audio).__name__,
            expected="a numpy array, int16 [n]",
            hint="For raw bytes: np.frombuffer(data, np.int16)",
        )
    if audio.dtype != np.int16:
        scale = np.issubdtype(audio.dtype, np.floating)
        raise AudioError(
            "a chunk of audio",
            got=f"{audio.dtype} {list(audio.shape)}",
            expected="int16 [n]",
            hint="For floats between -1 and 1: (chunk * 32767).astype(np.int16)" if scale else None,
        )
    if audio.ndim != 1:
        raise AudioError(
            "a chunk of audio",
            got=f"int16 {list(audio.shape)}",
            expected="int16 [n], one channel",
            hint="Take one channel, for example chunk[:, 0]" if audio.ndim == 2 else None,
        )
    return audio


def read_audio(path: str | Path) -> Samples:
    """Read a recording as 16 kHz mono.

    Args:
        path: a file. Channels are averaged, other sample rates converted, samples that are not 16 bits wide rounded.

    Returns:
        int16 ``[n]``, ``n >= 1``.

    Raises:
        AudioError: it is missing, unreadable, cut short, or holds no audio.
        DependencyError: it is not 16-bit mono WAV at 16 kHz, and the extra ``audio`` is not installed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
            lacking = lacking_bytes(file)
    except FileNotFoundError:
        raise AudioError(f"no recording at {path}") from None
    except IsADirectoryError:
        raise AudioError(f"{path}", got="a folder", expected=_FORMATS) from None
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror}") from None
    if empty:
        raise AudioError(f"{path}", got="an empty file", expected=_FORMATS)
    if lacking:
        raise AudioError(f"{path} is cut short", got=f"{lacking} bytes less than its header names")
    samples = _read_plain_wav(path)
    if samples is None:
        samples = _read_any(path)
    if not len(samples):
        raise AudioError(f"{path} holds no audio", got="0 samples", expected="1 or more")
    return samples


def lacking_bytes(file: BinaryIO) -> int:
    """Bytes of audio that the header of a WAV file names and that are not there; 0 for other files.

    libsndfile reads such a file without a word; other formats carry checks of their own.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        return 0
    while len(header := file.read(8)) == 8:
        name, named = struct.unpack("<4sI", header)
        if name == b"data":
            return 0 if named >= _UNKNOWN_BYTES else max(0, named - (size - file.tell()))
        file.seek(named + named % 2, os.SEEK_CUR)
    return 0


def _read_plain_wav(path: Path) -> Samples | None:
    """Samples of a 16-bit mono WAV at 16 kHz; None for any other file."""
    try:
        with wave.open(str(path), "rb") as file:
            kind = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            if kind != (1, 2, SAMPLE_RATE_HZ):
                return None
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError):  # the last without a message, for chunks that end too early
        return None
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)


def _read_any(path: Path) -> Samples:
    """Samples of any file that libsndfile reads, converted to 16 kHz mono block by block."""
    soundfile, soxr = _import_readers(path)
    parts: list[Samples] = []
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = file.samplerate
            resampler: Any = None
            if rate != SAMPLE_RATE_HZ:
                resampler = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
            for block in file.blocks(rate * _BLOCK_S, dtype="float32", always_2d=True):
                mono = block.mean(axis=1, dtype=np.float32)
                parts.append(_to_int16(mono if resampler is None else resampler.resample_chunk(mono), path))
            if resampler is not None:
                parts.append(_to_int16(resampler.resample_chunk(np.zeros(0, np.float32), last=True), path))
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise AudioError(f"cannot read {path}", got=text or type(error).__name__, expected=_FORMATS) from None
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def _to_int16(mono: Floats, path: Path) -> Samples:
    if not np.isfinite(mono).all():
        raise AudioError(f"{path} is damaged", got="samples that are not numbers")
    scaled: Samples = np.clip(np.rint(mono * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return scaled


def _import_readers(path: Path) -> tuple[ModuleType, ModuleType]:
    try:
        import soundfile
        import soxr
    except (ImportError, OSError) as error:  # OSError: the package is there, the library that it loads is not
        raise DependencyError(
            f"{path} is not 16-bit mono WAV at 16 kHz, and reading other audio needs soundfile and soxr",
            got=" ".join(str(error).split()),
            hint='Install them: pip install "nanowakeword[audio]"',
        ) from None
    return soundfile, soxr
