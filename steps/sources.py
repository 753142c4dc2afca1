"""What windows are made of: the clips of one split, and the real recordings that belong to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nanowakeword.errors import ConfigError
from steps.clippack import ClipPack, Split
from steps.decibels import Audio, from_int16
from steps.recordings import Recording

__all__ = ["Sources"]

_GROUP_OF = {"speech": "speech", "noise": "noise", "music": "noise", "rir": "rir"}


class Sources:
    """Clips and recordings to draw from.

    Args:
        pack: all clips.
        split: the part of them to use.
        recordings: real recordings that may be used in this split; words that are not the phrase count as speech.
        phrase: what to listen for.

    Attributes:
        phrases: clips of the phrase.
        partials: clips of parts of it.
        spoken: real recordings of the phrase.

    Raises:
        ConfigError: the split has no clips of the phrase, or none of other speech.
    """

    def __init__(self, pack: ClipPack, *, split: Split, recordings: Sequence[Recording], phrase: str) -> None:
        self.phrases = list(pack.select(kind="positive", split=split))
        self.partials = list(pack.select(kind="partial", split=split))
        self._others = list(pack.select(kind="negative", split=split))
        for clips, what in ((self.phrases, "the phrase"), (self._others, "other speech")):
            if not clips:
                raise ConfigError(
                    f"no clips of {what} in the split {split}",
                    hint="Raise synthesize.positives and synthesize.negatives, or name more engines",
                )
        self._pack = pack
        self._by_voice: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for index in self._others:
            self._by_voice[_voice(pack, index)].append(index)
        self.spoken = [r for r in recordings if r.is_of(phrase)]
        self._recordings: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in recordings:
            if not recording.is_of(phrase):
                self._recordings[_GROUP_OF.get(recording.kind, "speech")].append(recording)

    def other_clip(self, rng: np.random.Generator, *, like: int = -1) -> int:
        """A clip of other speech; by the voice of the clip ``like`` if that voice has any."""
        clips = self._by_voice.get(_voice(self._pack, like), self._others) if like >= 0 else self._others
        return clips[int(rng.integers(len(clips)))]

    def clip_audio(self, index: int) -> Audio:
        """Samples of a clip, full scale 1."""
        return from_int16(self._pack.audio(index))

    def fitting(self, clips: Sequence[int], n_samples: int) -> list[int]:
        """Those of some clips that are at most so long."""
        return [index for index in clips if self._pack.clips[index].n_samples <= n_samples]

    def phrase_length(self, rng: np.random.Generator) -> int:
        """Length of some clip of the phrase, in samples."""
        return self._pack.clips[self.phrases[int(rng.integers(len(self.phrases)))]].n_samples

    def recordings(self, group: str) -> Sequence[Recording]:
        """Real recordings of a group: speech, noise (and music), rir."""
        return self._recordings[group]


def _voice(pack: ClipPack, index: int) -> tuple[str, str]:
    clip = pack.clips[index]
    return clip.engine, clip.voice
