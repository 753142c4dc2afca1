"""The front ends. To add one: a file beside this one, a row here, its name in the settings.

A row carries what its class says, so the table can be read without downloading weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from models.frontends.base import FrontEndModule
from models.frontends.logmel import LogMel
from models.frontends.speech_embedding import SpeechEmbedding
from models.frontends.wakehubert import WakeHubert
from models.weights import WEIGHTS
from nanowakeword.errors import ConfigError

__all__ = ["FRONT_ENDS", "FrontEndRow", "build_front_end"]


@dataclass(frozen=True, kw_only=True)
class FrontEndRow:
    """A front end.

    Attributes:
        name: key of the table, and what users write.
        n_features: values in a frame.
        frames_per_hop: frames every 80 ms.
        context_frames: frames that a head looks at, and that are stored for training.
        revision: raised when the features change while the weights do not, for example with a floor.
        weights: row of the table of packaged weights, if it has any.
        licence: SPDX expression.
        source: where it comes from.
        build: makes one, in evaluation mode; downloads the weights the first time.
    """

    name: str
    n_features: int
    frames_per_hop: int
    context_frames: int
    revision: int
    weights: str | None
    licence: str
    source: str
    build: Callable[[], FrontEndModule]

    @property
    def fingerprint(self) -> str:
        """Hash of what decides the features: stored features with another one must be extracted again."""
        files = WEIGHTS[self.weights].files if self.weights else ()
        facts = [self.name, self.revision, self.n_features, self.frames_per_hop, [file.sha256 for file in files]]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _row(
    name: str, kind: type[FrontEndModule], *, context_frames: int, revision: int = 1, weights: str | None = None
) -> FrontEndRow:
    return FrontEndRow(
        name=name,
        n_features=kind.n_features,
        frames_per_hop=kind.frames_per_hop,
        context_frames=context_frames,
        revision=revision,
        weights=weights,
        licence=WEIGHTS[weights].licence if weights else "Apache-2.0",
        source=WEIGHTS[weights].source if weights else "computed",
        build=lambda: kind().eval(),
    )


FRONT_ENDS: Final[dict[str, FrontEndRow]] = {
    row.name: row
    for row in (
        _row("logmel", LogMel, context_frames=164),
        _row("speech_embedding", SpeechEmbedding, context_frames=16, weights="speech_embedding"),
        _row("wakehubert", WakeHubert, context_frames=84, weights="wakehubert"),
    )
}


def build_front_end(name: str) -> FrontEndModule:
    """A front end in evaluation mode, its weights frozen.

    Args:
        name: a key of `FRONT_ENDS`.

    Raises:
        ConfigError: no such front end.
        DependencyError: its weights cannot be had.
        ModelError: its weights are not what the table says.
    """
    if name not in FRONT_ENDS:
        raise ConfigError("front end", got=repr(name), expected=f"one of {', '.join(FRONT_ENDS)}")
    return FRONT_ENDS[name].build()
