"""Many clips in two files: samples end to end, and one line of facts per clip.

A folder of 50,000 small files takes DVC more than a minute to check; two files take a moment.

    audio.npy     int16 [n_samples], 16 kHz mono, clip after clip
    clips.jsonl   one JSON object per clip, in the same order
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import StorageError

__all__ = ["Clip", "ClipPack", "write_clips"]

Split = Literal["train", "validation", "calibration", "test"]
Kind = Literal["positive", "partial", "neighbour", "negative"]

_AGAIN: Final = "Delete the folder and run the stage again"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What is known of one clip.

    Attributes:
        kind: what was said: the phrase, a part of it, words that sound like it, or something else.
        text: the words as the engine got them.
        engine: row of the table of engines.
        voice: the speaker within the engine; no voice is in two splits.
        split: the part of the experiment this voice belongs to.
        speed: speaking rate, 1.0 being the engine's normal rate.
        licence: SPDX identifier of the voice.
        n_samples: length at 16 kHz.
        distance: of a neighbour, how far its sounds are from the phrase's, 0 being a homophone.
    """

    kind: Kind
    text: str
    engine: str
    voice: str
    split: Split
    speed: float
    licence: str
    n_samples: int
    distance: float | None = None


def write_clips(folder: Path, clips: Iterable[tuple[Clip, npt.NDArray[np.int16]]]) -> int:
    """Write clips into a folder, which must exist and be empty.

    Returns:
        The number of clips.
    """
    facts: list[str] = []
    audio: list[npt.NDArray[np.int16]] = []
    for clip, samples in clips:
        if samples.dtype != np.int16 or samples.shape != (clip.n_samples,):
            raise StorageError(
                f"clip {clip.text!r}", got=f"{samples.dtype} {samples.shape}", expected=f"int16 ({clip.n_samples},)"
            )
        facts.append(json.dumps(asdict(clip), ensure_ascii=False))
        audio.append(samples)
    np.save(folder / "audio.npy", np.concatenate(audio) if audio else np.zeros(0, np.int16), allow_pickle=False)
    (folder / "clips.jsonl").write_text("".join(line + "\n" for line in facts), encoding="utf-8")
    return len(facts)


class ClipPack:
    """Clips written by `write_clips`, the audio memory-mapped.

    Args:
        folder: where they were written.

    Raises:
        StorageError: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # Not splitlines(), which also cuts at line separators that JSON leaves as they are.
            lines = (folder / "clips.jsonl").read_text("utf-8").split("\n")[:-1]
            self.clips = [Clip(**json.loads(line)) for line in lines]
            self._audio: npt.NDArray[np.int16] = np.load(folder / "audio.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError, TypeError) as error:
            raise StorageError(f"{folder} is damaged: {error}", hint=_AGAIN) from None
        self._starts = np.concatenate([[0], np.cumsum([c.n_samples for c in self.clips], dtype=np.int64)])
        if self._audio.dtype != np.int16 or self._audio.shape != (self._starts[-1],):
            raise StorageError(
                f"{folder} is damaged",
                got=f"{self._audio.dtype} samples of shape {self._audio.shape}",
                expected=f"int16 ({self._starts[-1]},)",
                hint=_AGAIN,
            )

    def __len__(self) -> int:
        return len(self.clips)

    def audio(self, index: int) -> npt.NDArray[np.int16]:
        """Samples of one clip, int16 [n_samples]."""
        return self._audio[self._starts[index] : self._starts[index + 1]]

    def select(self, *, kind: Kind, split: Split) -> Iterator[int]:
        """Indices of the clips of one kind in one split."""
        return (i for i, c in enumerate(self.clips) if c.kind == kind and c.split == split)
