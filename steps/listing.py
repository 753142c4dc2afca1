"""A recording that somebody listed, in a manifest or by putting it into a folder, before it was ever opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from steps.recordings import RealSplit

__all__ = ["NOT_STATED", "Listed", "Rule"]

NOT_STATED: Final = "not stated"
# Shares of corpus.split, shares of corpus.own_split, or training only.
Rule = Literal["real", "own", "train"]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A recording and what is said of it.

    Attributes:
        path: absolute.
        name: as the user knows it, for messages.
        kind: ``keyword:<phrase>``, speech, noise, music or rir.
        rule: how its split is found.
        group: recordings of a group are never torn apart, such as those of one speaker; empty: it stands alone.
        speaker: name, or empty.
        source: where it comes from.
        licence: under which it may be used, `NOT_STATED` where nobody says.
        split: where that is decided already.
        session: one sitting at one microphone, or empty.
    """

    path: Path
    name: str
    kind: str
    rule: Rule
    group: str
    speaker: str
    source: str
    licence: str
    split: RealSplit | None = None
    session: str = ""
