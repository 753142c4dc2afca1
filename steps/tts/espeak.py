"""espeak-ng, formant synthesis in process through `steps.espeak_ng`. GPL-3.0-or-later, in ``espeakng-loader``.

Many speakers, all robotic: alone they train a poor model, among others they add what the neural voices lack, children
and old people. A speaker is a variant of the formants; each is heard in all accents of English. Left out are whispers
(whisper, whisperf, caleb), robots and echoes (anikaRobot, announcer, Demonic, RicishayMax, robosoft, UniRobot), croak,
and fast, which is the plain voice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from steps import espeak_ng
from steps.phonemes import of_text
from steps.pronunciation import espeak_text
from steps.tts.engine import Engine, Request, Samples, Voice

__all__ = ["ENGINE"]

_ACCENTS: Final = ("en-us", "en-us-nyc", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-029")
_NORMAL_WORDS_PER_MINUTE: Final = 175.0

# A line is a group, families apart by commas: variants of one author or of one set of formants.
_WOMEN: Final = (
    "f1, f2, f3, f4, f5, Alicia, Andrea, Annie, anika, aunty, belinda linda, grandma, shelby, steph steph2 steph3"
)
_MEN: Final = (
    "m1, m2, m3, m4, m5, m6, m7, m8, Alex, Andy AnxiousAndy Lee, Denis victor Storm, Diogo Henrique Hugo michel miguel,"
    " Gene Gene2, Jacky, Marco, Mario Michael gustave marcelo, Mike mike2, Mr serious/Tweaky/john/ian/norbert/pablo,"
    " Nguyen, Reed, adam benjamin edward edward2, antonio, boris max, david, ed, grandpa, iven iven2 iven3 iven4,"
    " kaukovalta, klatt klatt2 klatt3 klatt4 klatt5 klatt6, paul, pedro, quincy rob robert, sandro, travis, zac"
)


def _voices(group: str, families: str) -> Iterator[Voice]:
    for family in families.split(","):
        names = family.strip().split("/") if "/" in family else family.split()
        for name in names:
            yield Voice(name=name, family=names[0], group=group)


_SPEAKERS: Final = (*_voices("women", _WOMEN), *_voices("men", _MEN))


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # everything is in the requests
    for request in requests:
        rng = np.random.default_rng(request.seed)
        english = request.language.startswith("en")
        accent = espeak_ng.languages()[(str(rng.choice(_ACCENTS)) if english else request.language).lower()]
        ipa = of_text(request.text)
        samples = espeak_ng.speak(
            request.text if ipa is None else espeak_text(ipa, language=request.language),
            voice=f"{accent}+{request.voices[0]}",
            words_per_minute=round(_NORMAL_WORDS_PER_MINUTE * request.speed),
            pitch=int(rng.integers(25, 80)),
            pitch_range=int(rng.integers(25, 90)),
            mnemonics=ipa is not None,
            seed=request.seed,
        )
        yield samples.astype(np.float32) / 32768.0


ENGINE: Final = Engine(
    name="espeak",
    licence="GPL-3.0-or-later",
    sample_rate_hz=espeak_ng.SAMPLE_RATE_HZ,
    reads_phonemes=True,
    blends=False,
    shard_clips=400,
    voices=lambda _: _SPEAKERS,
    missing=espeak_ng.missing,
    speak=_speak,
)
