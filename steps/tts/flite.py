"""Flite (http://cmuflite.org), the program of that name where the system has it. Unit selection and diphones.

Its voices are small and dated, but they are speakers that no neural engine has. It knows 130,000 English words;
phonemes it reads out of a lexicon made for the shard.
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

from steps.phonemes import of_text
from steps.tts.arpabet import Syllable, spell, syllables
from steps.tts.engine import Engine, Request, Samples, Voice, in_english

__all__ = ["ENGINE"]

_PITCH_HZ: Final = {"slt": 170.0, "rms": 95.0, "awb": 120.0, "kal16": 105.0}
_SAMPLE_RATE_HZ: Final = 16_000


def _missing() -> str | None:
    return None if shutil.which("flite") else "Install it if you want its voices: sudo apt-get install flite"


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # everything is in the requests
    program = shutil.which("flite") or "flite"
    lexicon: dict[str, str] = {}
    texts = [request.text if (ipa := of_text(request.text)) is None else spell(ipa, lexicon) for request in requests]
    with tempfile.TemporaryDirectory() as folder:
        path, words = Path(folder) / "clip.wav", Path(folder) / "lexicon"
        words.write_text("".join(f"{word} 0 : {_phones(syllables(ipa))}\n" for ipa, word in lexicon.items()), "ascii")
        for request, text in zip(requests, texts, strict=True):
            rng = np.random.default_rng(request.seed)
            (voice,) = request.voices
            pitch_hz = _PITCH_HZ[voice] * rng.uniform(0.85, 1.25)
            style = (f"duration_stretch={1.0 / request.speed:.3f}", f"int_f0_target_mean={pitch_hz:.1f}")
            command = [program, "-voice", voice, "--setf", style[0], "--setf", style[1], "-add_lex", str(words)]
            subprocess.run([*command, "-t", text, "-o", str(path)], check=True, stdin=subprocess.DEVNULL)
            with wave.open(str(path)) as clip:
                samples = np.frombuffer(clip.readframes(clip.getnframes()), np.dtype("<i2"))
            yield samples.astype(np.float32) / 32768.0


def _phones(word: Sequence[Syllable]) -> str:
    """A word as Flite's lexicon has it: phones, with 1 or 0 behind vowels."""
    return " ".join(
        phone + (str(int(syllable.stressed)) if phone[0] in "aeiou" else "")
        for syllable in word
        for phone in syllable.phones
    )


ENGINE: Final = Engine(
    name="flite",
    licence="MIT-Festival",
    sample_rate_hz=_SAMPLE_RATE_HZ,
    reads_phonemes=True,
    blends=False,
    shard_clips=200,
    # slt and kal speak in Festival, too; awb, who is Scottish, is most use where new voices are tried.
    voices=in_english(
        Voice(name="slt", family="slt", home="train"),
        Voice(name="rms", family="rms", home="train"),
        Voice(name="awb", family="awb", home="validation"),
        Voice(name="kal16", family="kal16", home="train"),
    ),
    missing=_missing,
    speak=_speak,
)
