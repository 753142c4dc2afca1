"""Kokoro-82M, a StyleTTS 2 network (https://arxiv.org/abs/2306.07691) with 28 English voices; Apache-2.0.

A voice is 510 style vectors, one for each length of text; the weighted mean of two voices is a third speaker, so the
number of speakers has no end. Model and voices come through `models.weights`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from models.weights import fetch
from nanowakeword.errors import DependencyError
from steps import espeak_ng
from steps.phonemes import kokoro_symbols, of_text
from steps.tts.engine import Engine, Request, Samples, Voice, in_english

__all__ = ["ENGINE"]

_LONGEST: Final = 509  # symbols in one go

# The first letter is the accent, American or British, the second the sex.
_VOICES: Final = {
    "af": "alloy aoede bella heart jessica kore nicole nova river sarah sky",
    "am": "adam echo eric fenrir liam michael onyx puck santa",
    "bf": "alice emma isabella lily",
    "bm": "daniel fable george lewis",
}


def _missing() -> str | None:
    try:
        for name in ("kokoro_model", "kokoro_vocabulary", "kokoro_voices"):
            fetch(name)
    except DependencyError as error:
        return str(error)
    return espeak_ng.missing()


def _symbols(text: str, *, british: bool) -> str:
    """A text in Kokoro's alphabet, its punctuation kept, because it shapes the melody."""
    ipa = of_text(text)
    if ipa is not None:
        return kokoro_symbols(ipa, british=british)
    parts = []
    for part in re.split(r"([,.;:!?…]+)", text.replace("...", "…")):
        if part and not part.strip(",.;:!?… "):
            parts.append(part)
        elif part:
            words = espeak_ng.phonemes(part, language="en-gb" if british else "en-us")
            spoken = kokoro_symbols(" ".join("".join(word) for word in words), british=british)
            parts.append((" " if parts else "") + spoken)
    return "".join(parts)


def _style(folder: Path, voice: str) -> Samples:
    """Style vectors of a voice, float32 [510, 256]."""
    return np.fromfile(folder / f"{voice}.bin", np.dtype("<f4")).astype(np.float32).reshape(510, 256)


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # everything is in the requests
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(fetch("kokoro_model")), options, providers=["CPUExecutionProvider"])
    vocabulary: dict[str, int] = json.loads(fetch("kokoro_vocabulary").read_text("utf-8"))["vocab"]
    folder = fetch("kokoro_voices")
    for request in requests:
        rng = np.random.default_rng(request.seed)
        first, second = request.voices[0], request.voices[-1]
        weight = rng.uniform(0.0, 0.5)
        # The accent of the sounds is that of the stronger voice.
        symbols = _symbols(request.text, british=first.startswith("b"))
        ids = [vocabulary[symbol] for symbol in symbols if symbol in vocabulary][:_LONGEST]
        style = (1.0 - weight) * _style(folder, first)[len(ids)] + weight * _style(folder, second)[len(ids)]
        (samples,) = session.run(
            None,
            {
                "tokens": np.asarray([[0, *ids, 0]], np.int64),
                "style": style[None].astype(np.float32),
                "speed": np.asarray([request.speed], np.float32),
            },
        )
        yield np.asarray(samples, np.float32).reshape(-1)


ENGINE: Final = Engine(
    name="kokoro",
    licence="Apache-2.0",
    sample_rate_hz=24_000,
    reads_phonemes=True,
    blends=True,
    shard_clips=25,
    voices=in_english(
        *(
            Voice(
                name=f"{group}_{name}",
                family=f"{group}_{name}",
                group=group,
                home="train" if name == "heart" else None,  # hibari learned from her
            )
            for group, names in _VOICES.items()
            for name in names.split()
        )
    ),
    missing=_missing,
    speak=_speak,
)
