"""pyttsx3, MPL-2.0: the voices that the platform has, SAPI 5 on Windows and NSSpeechSynthesizer on macOS.

On Linux pyttsx3 drives the installed espeak-ng, with whose voices `steps.tts.espeak` speaks already, in process and
from phonemes: its clips would be copies. Also its driver and that library's thread race: some clips get the rate of the
one before, some are empty. So there it counts as unavailable. Each text is saved by a ``runAndWait`` of its own, or
drivers drop all but the last. What is said depends on the platform's release, so it differs from machine to machine.
"""

from __future__ import annotations

import functools
import platform
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from nanowakeword.errors import DependencyError
from steps.tts.engine import Engine, Request, Samples, Voice

__all__ = ["ENGINE"]

_SAMPLE_RATE_HZ: Final = 22_050
_NORMAL_WORDS_PER_MINUTE: Final = 190


def _missing() -> str | None:
    if platform.system() not in {"Darwin", "Windows"}:
        return "Here it speaks with espeak-ng's voices, which the engine espeak has already"
    try:
        return None if _platform_voices() else "The platform has no voices; add some in its settings for speech"
    except (ImportError, OSError, RuntimeError) as error:
        return f'Install it: pip install "pyttsx3>=2.99" ({error})'


def _driver() -> Any:
    import pyttsx3

    return pyttsx3.init()


@functools.cache
def _platform_voices() -> tuple[tuple[str, Voice], ...]:
    """Language code in lower case, and voice."""
    return tuple(
        (_code(voice.languages[0]) if voice.languages else "", Voice(name=voice.id, family=voice.name or voice.id))
        for voice in sorted(_driver().getProperty("voices"), key=lambda voice: str(voice.id))
    )


def _code(language: str | bytes) -> str:
    """``en_US`` and the like as a code of espeak-ng; SAPI's numbers are English where they end in 09."""
    text = language.decode("utf-8", "replace") if isinstance(language, bytes) else str(language)
    if text.isdecimal() or text.startswith("0x"):
        return "en-us" if int(text, 16) & 0x3FF == 0x09 else ""
    return text.strip("\0\x05 ").replace("_", "-").lower()


def _voices(language: str) -> tuple[Voice, ...]:
    if _missing() is not None:
        return ()
    family = language.lower().split("-")[0]
    return tuple(voice for code, voice in _platform_voices() if code.split("-")[0] == family)


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # nothing can be drawn
    import soundfile
    import soxr

    driver = _driver()
    with tempfile.TemporaryDirectory() as folder:
        for index, request in enumerate(requests):
            path = Path(folder) / f"{index}.wav"
            driver.setProperty("voice", request.voices[0])
            driver.setProperty("rate", round(_NORMAL_WORDS_PER_MINUTE * request.speed))
            driver.save_to_file(request.text, str(path))
            driver.runAndWait()
            if not path.exists():
                raise DependencyError("pyttsx3 saved nothing", got=f"voice {request.voices[0]}, text {request.text!r}")
            # macOS writes AIFF whatever the file's name; soundfile looks inside.
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            yield np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, _SAMPLE_RATE_HZ), np.float32)


ENGINE: Final = Engine(
    name="pyttsx3",
    licence="LicenseRef-platform",
    sample_rate_hz=_SAMPLE_RATE_HZ,
    reads_phonemes=False,
    blends=False,
    shard_clips=100,
    voices=_voices,
    missing=_missing,
    speak=_speak,
)
