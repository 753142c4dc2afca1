"""Audio in: files of any kind, and the check of what a program feeds.

16-bit mono WAV at 16 kHz is read with the standard library alone; everything else, other rates and channels included,
needs the extra ``audio`` (soundfile for the formats, soxr for the rates).
"""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import AudioError, ConfigError, DependencyError
from nanowakeword.resampling import check_rate
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["audio_blocks", "check_chunk", "lacking_bytes", "read_audio"]

_FORMATS: Final = "a recording such as WAV, FLAC, Ogg or MP3"
# Samples of all channels that are decoded at a time, 1 min at 16 kHz: neither many hours nor what a header claims need
# more memory than this and the 16 kHz samples.
_BLOCK_VALUES: Final = 1_000_000
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
            parts = list(audio_blocks(file, name=str(path)))
    except FileNotFoundError:
        raise AudioError(f"no recording at {path}") from None
    except IsADirectoryError:
        raise AudioError(f"{path}", got="a folder", expected=_FORMATS) from None
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror}") from None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def audio_blocks(file: BinaryIO, *, name: str) -> Iterator[Samples]:
    """Read a recording as 16 kHz mono, a piece at a time; memory is needed for one piece, whatever the file claims.

    Args:
        file: the recording; it must be able to seek.
        name: what to call it in errors.

    Yields:
        int16 ``[n]``, up to 1 min of a recording at 16 kHz, ``n >= 0``; one sample or more in all.

    Raises:
        AudioError: as `read_audio`; what is damaged further on is found when it is reached.
        DependencyError: as `read_audio`.
    """
    file.seek(0)
    if not file.read(1):
        raise AudioError(name, got="an empty file", expected=_FORMATS)
    lacking = lacking_bytes(file)
    if lacking:
        raise AudioError(f"{name} is cut short", got=f"{lacking} bytes less than its header names")
    file.seek(0)
    plain = _open_plain_wav(file)
    if plain is None:
        file.seek(0)
        blocks = _decode(file, name)
    else:
        blocks = _plain_blocks(plain)
    found = False
    for block in blocks:
        found = found or bool(len(block))
        yield block
    if not found:
        raise AudioError(f"{name} holds no audio", got="0 samples", expected="1 or more")


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


def _open_plain_wav(file: BinaryIO) -> wave.Wave_read | None:
    """A 16-bit mono WAV at 16 kHz, opened; None for any other file."""
    try:
        reader = wave.Wave_read(file)
        kind = (reader.getnchannels(), reader.getsampwidth(), reader.getframerate())
    except (wave.Error, EOFError, RuntimeError):  # the last without a message, for chunks that end too early
        return None
    return reader if kind == (1, 2, SAMPLE_RATE_HZ) else None


def _plain_blocks(reader: wave.Wave_read) -> Iterator[Samples]:
    while data := reader.readframes(_BLOCK_VALUES):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)


def _decode(file: BinaryIO, name: str) -> Iterator[Samples]:
    """Samples of any file that libsndfile reads, converted to 16 kHz mono block by block."""
    soundfile, soxr = _import_readers(name)
    try:
        with soundfile.SoundFile(file) as opened:
            rate = _check_rate(opened.samplerate, name)
            resampler: Any = None
            if rate != SAMPLE_RATE_HZ:
                resampler = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
            frames = max(1, _BLOCK_VALUES // opened.channels)
            while len(block := opened.read(frames, dtype="float32", always_2d=True)):
                mono = block.mean(axis=1, dtype=np.float32)
                yield _to_int16(mono if resampler is None else resampler.resample_chunk(mono), name)
            if resampler is not None:
                yield _to_int16(resampler.resample_chunk(np.zeros(0, np.float32), last=True), name)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        # The message of libsndfile alone: that of soundfile names the object in memory that it reads.
        text = " ".join(str(getattr(error, "error_string", error)).split())
        raise AudioError(f"cannot read {name}", got=text or type(error).__name__, expected=_FORMATS) from None


def _check_rate(rate_hz: int, name: str) -> int:
    try:
        return check_rate(rate_hz)
    except ConfigError as error:
        raise AudioError(f"cannot read {name}", got=error) from None


def _to_int16(mono: Floats, name: str) -> Samples:
    if not np.isfinite(mono).all():
        raise AudioError(f"{name} is damaged", got="samples that are not numbers")
    scaled: Samples = np.clip(np.rint(mono * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return scaled


def _import_readers(name: str) -> tuple[ModuleType, ModuleType]:
    try:
        import soundfile
        import soxr
    except (ImportError, OSError) as error:  # OSError: the package is there, the library that it loads is not
        raise DependencyError(
            f"{name} is not 16-bit mono WAV at 16 kHz, and reading other audio needs soundfile and soxr",
            got=" ".join(str(error).split()),
            hint='Install them: pip install "nanowakeword[audio]"',
        ) from None
    return soundfile, soxr
