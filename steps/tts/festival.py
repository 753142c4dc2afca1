"""Festival (https://www.cstr.ed.ac.uk/projects/festival), the program of that name, with the English voices it has.

One process speaks a whole shard, 150 short phrases in a second of one core. Diphone voices stretch their durations and
move their pitch inside Festival, HTS voices do so in their own engine, and are told in its options. Phonemes are put
into the lexicon of each voice.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from nanowakeword.errors import DependencyError
from steps.phonemes import of_text
from steps.tts.arpabet import Syllable, spell, syllables
from steps.tts.engine import Engine, Request, Samples, Voice, in_english

__all__ = ["ENGINE"]

_PACKAGES: Final = "sudo apt-get install festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"
_SAMPLE_RATE_HZ: Final = 16_000
_SECONDS_PER_CLIP: Final = 10.0  # hundreds of times what it takes
# English voices as their packages name them; the group is the speaker. Statistical voices are told by their engine.
_VOICE: Final = re.compile(r"(?:cmu_us_)?(?P<speaker>[a-z]+)_(?:diphone|arctic_hts|arctic_clunits)")
_SPEAKERS: Final = frozenset({"kal", "ked", "don", "rab", "awb", "bdl", "clb", "jmk", "rms", "slt"})


@functools.cache
def _installed() -> tuple[Voice, ...]:
    """English voices that are here."""
    program = shutil.which("festival")
    if program is None:
        return ()
    listed = subprocess.run(
        [program, "--batch", "(print (voice.list))"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    matches = [match for name in re.findall(r"\w+", listed.stdout) if (match := _VOICE.fullmatch(name))]
    # Those of Flite's speakers go where Flite's go.
    return tuple(
        Voice(
            name=match.group(),
            family=match["speaker"],
            home="validation" if match["speaker"] == "awb" else "train",
        )
        for match in sorted(matches, key=re.Match.group)
        if match["speaker"] in _SPEAKERS
    )


def _missing() -> str | None:
    if shutil.which("festival") is None:
        return f"Install it if you want its voices: {_PACKAGES}"
    return None if _installed() else f"It has no English voice. Install some: {_PACKAGES}"


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # everything is in the requests
    program = shutil.which("festival") or "festival"
    lexicon: dict[str, str] = {}
    texts = [request.text if (ipa := of_text(request.text)) is None else spell(ipa, lexicon) for request in requests]
    entries = [f'\'("{word}" nil ({" ".join(map(_syllable, syllables(ipa)))}))' for ipa, word in lexicon.items()]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(len(requests))]
        script = Path(folder) / "shard.scm"
        known: set[str] = set()  # voices whose lexicon has the entries
        lines = []
        for request, text, path in zip(requests, texts, paths, strict=True):
            (voice,) = request.voices
            lines.append(_select(request))
            if voice not in known:
                known.add(voice)
                lines += [f"(lex.add.entry {entry})" for entry in entries]
            lines.append(f"(utt.save.wave (utt.synth (Utterance Text {_quoted(text)})) {_quoted(str(path))} 'riff)")
        script.write_text("\n".join(lines), encoding="utf-8")
        try:
            done = subprocess.run(
                [program, "--batch", str(script)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60.0 + _SECONDS_PER_CLIP * len(requests),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DependencyError(
                "festival does not come to an end", hint="Leave it out of synthesize.engines"
            ) from None
        if done.returncode != 0 or not all(path.exists() for path in paths):
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise DependencyError("festival stopped", got=f"exit status {done.returncode}, {last[0]}")
        for path in paths:
            yield _read(path)


def _select(request: Request) -> str:
    """Scheme that sets voice, rate and pitch."""
    rng = np.random.default_rng(request.seed)
    (voice,) = request.voices
    if "hts" in voice:
        options = f'(("-r" {request.speed:.3f}) ("-fm" {rng.uniform(-3.0, 3.0):.2f}))'
        return f"(voice_{voice}) (set! hts_engine_params (append hts_engine_params '{options}))"
    mean_hz, spread_hz = 105.0 * rng.uniform(0.85, 1.35), rng.uniform(8.0, 24.0)
    return (
        f"(voice_{voice}) (Parameter.set 'Duration_Stretch {1.1 / request.speed:.3f}) "
        f"(set! int_lr_params '((target_f0_mean {mean_hz:.1f}) (target_f0_std {spread_hz:.1f})"
        " (model_f0_mean 170) (model_f0_std 34)))"
    )


def _syllable(syllable: Syllable) -> str:
    """A syllable as Festival's lexicon has it."""
    return f"(({' '.join(syllable.phones)}) {int(syllable.stressed)})"


def _quoted(text: str) -> str:
    """A string of Scheme."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(path: Path) -> Samples:
    """A file of Festival at the engine's rate."""
    import soxr

    with wave.open(str(path)) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), np.dtype("<i2")).astype(np.float32) / 32768.0
        rate_hz = clip.getframerate()
    return np.asarray(soxr.resample(samples, rate_hz, _SAMPLE_RATE_HZ), np.float32)


ENGINE: Final = Engine(
    name="festival",
    licence="MIT-Festival",
    sample_rate_hz=_SAMPLE_RATE_HZ,
    reads_phonemes=True,
    blends=False,
    shard_clips=200,
    voices=lambda language: in_english(*_installed())(language),
    missing=_missing,
    speak=_speak,
)
