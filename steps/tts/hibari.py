"""hibari, a small neural voice distilled from one of Kokoro's; Apache-2.0, in the package ``hibari-tts``.

One voice lies in the package; the four that it would download are not used, so that what is spoken does not depend on
the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from steps.phonemes import kokoro_symbols, of_text
from steps.tts.engine import Engine, Request, Samples, Voice, in_english

__all__ = ["ENGINE"]


def _missing() -> str | None:
    try:
        import hibari  # noqa: F401
    except ImportError:
        return 'Install it: pip install "hibari-tts>=0.2.1"'
    return None


def _speak(requests: Sequence[Request], seed: int) -> Iterator[Samples]:
    del seed  # everything is in the requests
    from hibari import Hibari

    engine = Hibari(threads=1)
    for request in requests:
        ipa = of_text(request.text)
        if ipa is None:
            samples = engine(request.text, speed=request.speed, seed=request.seed)
        else:
            symbols = kokoro_symbols(ipa, british=False)
            samples = engine.from_phonemes(symbols, speed=request.speed, seed=request.seed)
        yield np.asarray(samples, np.float32)


ENGINE: Final = Engine(
    name="hibari",
    licence="Apache-2.0",
    sample_rate_hz=24_000,
    reads_phonemes=True,
    blends=False,
    shard_clips=200,
    voices=in_english(Voice(name="heart", family="heart", home="train")),
    missing=_missing,
    speak=_speak,
)
