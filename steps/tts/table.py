"""The table of speech engines. To add one: a file like its neighbours, a line here, a name in `steps.settings`."""

from __future__ import annotations

from typing import Final

from steps.tts import espeak, flite, hibari, kokoro, piper
from steps.tts.engine import Engine

__all__ = ["ENGINES"]

ENGINES: Final[dict[str, Engine]] = {
    engine.name: engine for engine in (espeak.ENGINE, flite.ENGINE, hibari.ENGINE, kokoro.ENGINE, piper.ENGINE)
}
