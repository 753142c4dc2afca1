"""The table of speech engines. To add one: a file like its neighbours, a line here, a name in `steps.settings`."""

from __future__ import annotations

from typing import Final

from steps.tts import espeak, festival, flite, hibari, kokoro, piper, pyttsx3
from steps.tts.engine import Engine

__all__ = ["ENGINES"]

ENGINES: Final[dict[str, Engine]] = {
    engine.name: engine
    for engine in (
        espeak.ENGINE,
        festival.ENGINE,
        flite.ENGINE,
        hibari.ENGINE,
        kokoro.ENGINE,
        piper.ENGINE,
        pyttsx3.ENGINE,
    )
}
