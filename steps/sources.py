"""What windows are made of: the clips of one split, and the real recordings that belong to it.

A sound is written as a recipe writes it: a ``clip`` by its number or a ``recording`` by its path, of the latter perhaps
only ``seconds`` from ``from_s`` on; perhaps only ``part`` of its samples, faded; and the sample of the window at which
it starts, ``start``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.clippack import ClipPack, Split
from steps.decibels import Audio, from_int16
from steps.recordings import Recording, read_recording
from steps.splicing import add_at, cut, draw_gap, find_word

__all__ = ["Sound", "Sources", "recorded_word"]

Sound = dict[str, Any]

_GROUP_OF = {"speech": "speech", "noise": "noise", "music": "noise", "rir": "rir"}
_SAME_VOICE_SHARE = 0.5


class Sources:
    """Clips and recordings to draw from.

    Args:
        pack: all clips.
        split: the part of them to use.
        recordings: real recordings that may be used in this split; words that are not the phrase count as speech.
        phrase: what to listen for.

    Attributes:
        pack: as given.
        phrases: clips of the phrase.
        partials: clips of parts of it.
        neighbours: clips of words that sound like it.
        spoken: real recordings of the phrase.

    Raises:
        ConfigError: the split has no clips of the phrase, or none of other speech.
    """

    def __init__(self, pack: ClipPack, *, split: Split, recordings: Sequence[Recording], phrase: str) -> None:
        self.phrases = list(pack.select(kind="positive", split=split))
        self.partials = list(pack.select(kind="partial", split=split))
        self.neighbours = list(pack.select(kind="neighbour", split=split))
        self._others = list(pack.select(kind="negative", split=split))
        for clips, what in ((self.phrases, "the phrase"), (self._others, "other speech")):
            if not clips:
                raise ConfigError(
                    f"no clips of {what} in the split {split}",
                    hint="Raise synthesize.positives and synthesize.negatives, or name more engines",
                )
        self.pack = pack
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
        clips = self._by_voice.get(_voice(self.pack, like), self._others) if like >= 0 else self._others
        return clips[int(rng.integers(len(clips)))]

    def clip_audio(self, index: int) -> Audio:
        """Samples of a clip, full scale 1."""
        return from_int16(self.pack.audio(index))

    def clip_samples(self, index: int) -> int:
        """Length of a clip."""
        return self.pack.clips[index].n_samples

    def fitting(self, clips: Sequence[int], n_samples: int) -> list[int]:
        """Those of some clips that are at most so long."""
        return [index for index in clips if self.clip_samples(index) <= n_samples]

    def phrase_length(self, rng: np.random.Generator) -> int:
        """Length of some clip of the phrase, in samples."""
        return self.clip_samples(self.phrases[int(rng.integers(len(self.phrases)))])

    def recordings(self, group: str) -> Sequence[Recording]:
        """Real recordings of a group: speech, noise (and music), rir."""
        return self._recordings[group]

    def excerpt(self, group: str, rng: np.random.Generator, *, n_samples: int) -> Sound:
        """A window's length of a recording drawn by its length; a shorter recording starts anywhere in the window."""
        recordings = self._recordings[group]
        lengths = np.array([recording.seconds for recording in recordings])
        recording = recordings[int(rng.choice(len(recordings), p=lengths / lengths.sum()))]
        window_s = n_samples / SAMPLE_RATE_HZ
        from_s = round(float(rng.uniform(0.0, max(0.0, recording.seconds - window_s))), 3)
        missing = max(0, n_samples - round((recording.seconds - from_s) * SAMPLE_RATE_HZ))
        return {
            "recording": recording.path,
            "from_s": from_s,
            "seconds": window_s,
            "start": int(rng.integers(0, missing + 1)),
        }

    def talk(
        self, rng: np.random.Generator, *, n_samples: int, length: Callable[[int], int] | None = None
    ) -> list[Sound]:
        """Clips one after the other over a window, the first cut anywhere; half of the time the same voice goes on.

        Args:
            rng: source of randomness.
            n_samples: length of the window.
            length: samples that a clip of so many samples takes; None: as many.
        """
        sounds: list[Sound] = []
        position = 0
        while position < n_samples:
            like = sounds[-1]["clip"] if sounds and rng.random() < _SAME_VOICE_SHARE else -1
            clip = self.other_clip(rng, like=like)
            n_clip = self.clip_samples(clip)
            n_played = length(n_clip) if length else n_clip
            if not sounds:
                position = -int(rng.integers(0, n_played))
            sounds.append({"clip": clip, "start": position})
            position += n_played + draw_gap(rng)
        return sounds

    def sound(self, sound: Sound) -> Audio:
        """Samples of a sound, by itself."""
        if "clip" in sound:
            audio = self.clip_audio(sound["clip"])
        else:
            audio = read_recording(sound["recording"], start_s=sound.get("from_s", 0.0), seconds=sound.get("seconds"))
        return cut(audio, sound["part"]) if "part" in sound else audio

    def canvas(self, sounds: Sequence[Sound], *, n_samples: int) -> Audio:
        """Sounds at their places in a window ``[n_samples]``."""
        canvas = np.zeros(n_samples, np.float32)
        for sound in sounds:
            add_at(canvas, self.sound(sound), start=sound["start"])
        return canvas


@lru_cache(maxsize=4_096)
def recorded_word(path: str) -> tuple[int, int]:
    """Where the word is in a recording of it, see `find_word`; all of the recording if it is silent."""
    audio = read_recording(path)
    return find_word(audio) or (0, len(audio))


def _voice(pack: ClipPack, index: int) -> tuple[str, str]:
    clip = pack.clips[index]
    return clip.engine, clip.voice
