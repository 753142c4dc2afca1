"""Flite (http://cmuflite.org), the program of that name where the system has it. Unit selection and diphones.

Its voices are small and dated, but they are speakers that no other engine has.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from steps.tts.engine import Engine, Request, Samples, Voice

__all__ = ["ENGINE"]

_PITCH_HZ: Final = {"slt": 170.0, "rms": 95.0, "awb": 120.0, "kal16": 105.0}
_SAMPLE_RATE_HZ: Final = 16_000


def _missing() -> str | None:
    return None if shutil.which("flite") else "Install it if you want its voices: sudo apt-get install flite"


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # everything is in the requests
    program = shutil.which("flite") or "flite"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.wav"
        for request in requests:
            rng = np.random.default_rng(request.seed)
            (voice,) = request.voices
            pitch_hz = _PITCH_HZ[voice] * rng.uniform(0.85, 1.25)
            style = (f"duration_stretch={1.0 / request.speed:.3f}", f"int_f0_target_mean={pitch_hz:.1f}")
            command = [program, "-voice", voice, "--setf", style[0], "--setf", style[1]]
            subprocess.run([*command, "-t", request.text, "-o", str(path)], check=True, stdin=subprocess.DEVNULL)
            with wave.open(str(path)) as clip:
                samples = np.frombuffer(clip.readframes(clip.getnframes()), np.dtype("<i2"))
            yield samples.astype(np.float32) / 32768.0


ENGINE: Final = Engine(
    name="flite",
    licence="MIT-Festival",
    sample_rate_hz=_SAMPLE_RATE_HZ,
    languages=frozenset({"en"}),
    reads_phonemes=False,
    blends=False,
    shard_clips=200,
    voices=tuple(Voice(name=name, family=name) for name in _PITCH_HZ),
    missing=_missing,
    speak=_speak,
)
