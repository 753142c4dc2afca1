"""``python -m steps say``: how each engine says a phrase, to be listened to before hours go into a model.

Written are WAV files, one for each engine and a few of its voices. Told are the phonemes, and of each engine that is
silent the reason.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from nanowakeword.errors import ConfigError, DependencyError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.phonemes import between_slashes
from steps.phrases import pronounce
from steps.pronunciation import read_pronunciation
from steps.shards import run_shards
from steps.tts import worker
from steps.tts.engine import Engine, Request
from steps.tts.table import ENGINES

__all__ = ["add_arguments", "run"]

_COMMAND: Final = (sys.executable, "-m", worker.__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("phrase", help="what to say")
    parser.add_argument("--language", default="en-us", metavar="CODE", help="of espeak-ng (default: en-us)")
    parser.add_argument("--pronunciation", metavar="IPA", help="say these phonemes instead")
    parser.add_argument("--voices", type=int, default=2, metavar="N", help="of each engine (default: 2)")
    parser.add_argument("--engine", choices=sorted(ENGINES), action="append", help="only this one; may be repeated")
    parser.add_argument("-o", "--out", type=Path, default=Path("say"), metavar="DIR", help="folder (default: say)")


def run(options: argparse.Namespace) -> None:
    """Speak and write."""
    if options.voices < 1:
        raise ConfigError("--voices", got=options.voices, expected="1 or more")
    spoken = pronounce(options.phrase, language=options.language)
    if options.pronunciation is not None:
        spoken = read_pronunciation(options.pronunciation, language=options.language)
    print(f"phonemes: {between_slashes(spoken)[1:-1]}")
    text = options.phrase if options.pronunciation is None else between_slashes(spoken)
    jobs: dict[str, bytes] = {}
    requests: dict[str, list[Request]] = {}
    for name in options.engine or sorted(ENGINES):
        reason = _silent(ENGINES[name], language=options.language, has_phonemes=options.pronunciation is not None)
        if reason is not None:
            print(f"{name:9} left out: {reason}")
            continue
        requests[name] = list(_ask(ENGINES[name], text, language=options.language, n_voices=options.voices))
        document = {"engine": name, "seed": 0, "requests": [asdict(request) for request in requests[name]]}
        jobs[name] = json.dumps(document, ensure_ascii=False).encode()
    if not jobs:
        raise DependencyError("no engine can say it", hint="The reasons are above")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        paths = run_shards(_COMMAND, jobs, folder=Path(scratch), workers=1, done=lambda _: None)
        for name, path in paths.items():
            _write(requests[name], path.read_bytes(), folder=options.out)


def _silent(engine: Engine, *, language: str, has_phonemes: bool) -> str | None:
    """Why an engine is not heard, or None."""
    hint = engine.missing()
    if hint is not None:
        return hint
    if not engine.speaks(language):
        return f"it does not speak {language}"
    if has_phonemes and not engine.reads_phonemes:
        return "it reads words only, so it cannot be told the pronunciation"
    return None


def _ask(engine: Engine, text: str, *, language: str, n_voices: int) -> Iterator[Request]:
    """The text in voices from the whole list."""
    voices = engine.voices(language)
    for place in sorted({int(place) for place in np.linspace(0, len(voices) - 1, n_voices)}):
        yield Request(
            kind="positive",
            text=text,
            language=language,
            engine=engine.name,
            voices=(voices[place].name,),
            split="train",
            speed=1.0,
            seed=place,
        )


def _write(requests: Sequence[Request], archive: bytes, *, folder: Path) -> None:
    """One WAV file for each clip."""
    import soundfile

    with np.load(io.BytesIO(archive), allow_pickle=False) as spoken:
        clips = np.split(spoken["audio"], np.cumsum(spoken["lengths"])[:-1])
    for request, clip in zip(requests, clips, strict=True):
        if not len(clip):
            print(f"{request.engine:9} {request.voices[0]}: nothing that could be the phrase")
            continue
        path = folder / f"{request.engine}_{re.sub(r'[^A-Za-z0-9-]+', '-', request.voices[0])}.wav"
        soundfile.write(path, clip, SAMPLE_RATE_HZ)
        print(f"{request.engine:9} {len(clip) / SAMPLE_RATE_HZ:.2f} s  {path}")
