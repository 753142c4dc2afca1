"""The front ends. To add one: a file beside this one, a row here, its name in the settings.

A row carries what its class says, so the table can be read without downloading weights. Only `logmel` has settings: its
row in the table is that of the defaults, `front_end_row` gives that of others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from models.frames import FrameForm
from models.frontends.base import FrontEndModule
from models.frontends.logmel import LogMel
from models.frontends.logmel_options import LogMelOptions
from models.frontends.speech_embedding import SpeechEmbedding
from models.frontends.wakehubert import WakeHubert
from models.weights import WEIGHTS
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_S

__all__ = ["FRONT_ENDS", "FrontEndRow", "build_front_end", "front_end_row"]


_LOGMEL_CONTEXT_HOPS: Final = 20.5


@dataclass(frozen=True, kw_only=True)
class FrontEndRow(FrameForm):
    """A front end: the form of its frames, and where they come from.

    Attributes:
        name: key of the table, and what users write.
        revision: raised when the features change while the weights do not, for example with a floor.
        weights: row of the table of packaged weights, if it has any.
        licence: SPDX expression.
        source: where it comes from.
        logmel: options of `logmel`, where they are not the defaults.
        build: makes one, in evaluation mode; downloads the weights the first time.
    """

    name: str
    revision: int
    weights: str | None
    licence: str
    source: str
    logmel: LogMelOptions | None
    build: Callable[[], FrontEndModule]

    @property
    def fingerprint(self) -> str:
        """Hash of what decides the features: stored features with another one must be extracted again."""
        files = WEIGHTS[self.weights].files if self.weights else ()
        facts: list[Any] = [
            self.name,
            self.revision,
            self.n_features,
            self.frames_per_hop,
            [file.sha256 for file in files],
        ]
        if self.logmel is not None:
            facts.append(asdict(self.logmel))
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _pretrained(name: str, kind: Callable[[], FrontEndModule], form: FrameForm, *, revision: int = 1) -> FrontEndRow:
    weights = WEIGHTS[name]
    return FrontEndRow(
        **asdict(form),
        name=name,
        revision=revision,
        weights=name,
        licence=weights.licence,
        source=weights.source,
        logmel=None,
        build=lambda: kind().eval(),
    )


def _logmel(options: LogMelOptions) -> FrontEndRow:
    frames_per_hop = round(HOP_S * 1_000) // options.hop_ms
    return FrontEndRow(
        n_features=options.bands,
        frames_per_hop=frames_per_hop,
        context_frames=int(_LOGMEL_CONTEXT_HOPS * frames_per_hop),
        name="logmel",
        revision=1,
        weights=None,
        licence="Apache-2.0",
        source="computed",
        logmel=None if options == LogMelOptions() else options,
        build=lambda: LogMel(options).eval(),
    )


FRONT_ENDS: Final[dict[str, FrontEndRow]] = {
    row.name: row
    for row in (
        _logmel(LogMelOptions()),
        _pretrained("speech_embedding", SpeechEmbedding, FrameForm(n_features=96, frames_per_hop=1, context_frames=16)),
        _pretrained("wakehubert", WakeHubert, FrameForm(n_features=128, frames_per_hop=4, context_frames=84)),
    )
}


def front_end_row(name: str, *, logmel: LogMelOptions) -> FrontEndRow:
    """The row of a front end, `logmel`'s with the given options.

    Raises:
        ConfigError: no such front end.
    """
    if name not in FRONT_ENDS:
        raise ConfigError("front end", got=repr(name), expected=f"one of {', '.join(FRONT_ENDS)}")
    return _logmel(logmel) if name == "logmel" else FRONT_ENDS[name]


def build_front_end(name: str, *, logmel: LogMelOptions | None = None) -> FrontEndModule:
    """A front end in evaluation mode, its weights frozen.

    Args:
        name: a key of `FRONT_ENDS`.
        logmel: options of `logmel`; None for the defaults.

    Raises:
        ConfigError: no such front end.
        DependencyError: its weights cannot be had.
        ModelError: its weights are not what the table says.
    """
    return front_end_row(name, logmel=logmel or LogMelOptions()).build()
