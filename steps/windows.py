"""One window of training audio, from clips to what a microphone would have recorded.

Each window is drawn from a generator of its own, keyed by seed, split and number: the samples depend neither on how
many processes render nor on what was rendered before. Voices come first, then in the order of nature: room, noise,
microphone, gate, level, the recording's edges, codec. All forms of window pass through the same chain with the same
shares, and a part of the other speech ends where the phrase would end, so that neither sound nor place gives the phrase
away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations import noise, room
from steps.augmentations.table import AUGMENTATIONS
from steps.decibels import Audio, active_rms, gain, to_int16
from steps.recordings import Recording, read_recording
from steps.sources import Sources
from steps.splicing import add_at, cut_piece, trim

__all__ = ["POOLS", "SPLITS", "Form", "Plan", "Split", "Window", "WindowRenderer"]

Form = Literal["phrase", "partial", "cut", "ending", "piece", "running", "noise"]
Split = Literal["train", "validation"]

POOLS: Final = ("positive", "partial", "speech", "noise")
SPLITS: Final[tuple[Split, ...]] = ("train", "validation")
_POOL_OF: Final[dict[Form, str]] = {
    "phrase": "positive",
    "partial": "partial",
    "cut": "partial",
    "ending": "speech",
    "piece": "speech",
    "running": "speech",
    "noise": "noise",
}

_END_JITTER_S: Final = 0.25
_CUT_SHARE_HEARD: Final = (0.3, 0.6)
_BEFORE_SHARE: Final = 0.4
_AFTER_SHARE: Final = 0.3
_GAP_S: Final = (0.03, 0.4)
_LONG_GAP_S: Final = (0.4, 1.5)
_LONG_GAP_SHARE: Final = 0.15
_NEIGHBOUR_DB: Final = 3.0
_SPEED_SHARE: Final = 0.9
_MEASURED_ROOM_SHARE: Final = 0.5
_REAL_SPEECH_SHARE: Final = 0.5
_SILENCE_SHARE: Final = 0.2
_SECOND_NOISE_SHARE: Final = 0.3
_KEPT_WITHOUT_WORD: Final = 0.7
# What the sum of all sounds goes through, in this order. Opus costs more than all the rest of a window together.
_CHAIN: Final = {"eq": 0.7, "gate": 0.12, "level": 1.0, "take": 0.15, "codec": 0.12}
# Resampling may add a sample or two.
_SPARE_SAMPLES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a window is to hold.

    Attributes:
        index: its number in its split.
        form: ``phrase``, ``partial``, ``ending``, ``piece``: ends shortly before the window does; ``cut``: the window
            ends within the phrase; ``running``: speech cropped anywhere; ``noise``: no voice.
        clip: number of the clip that it is about, -1 if any will do.
        recording: a real recording of the phrase in place of a clip.
    """

    index: int
    form: Form
    clip: int = -1
    recording: Recording | None = None

    @property
    def pool(self) -> int:
        """Number in `POOLS`."""
        return POOLS.index(_POOL_OF[self.form])


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rendered window.

    Attributes:
        plan: what it was to be.
        audio: int16 ``[n]``.
        word_start: first sample of the word that ends with the window, -1 if there is none.
        word_end: the sample after it; beyond ``n`` if the window ends within the word.
        clip: number of the clip that it is about, -1 if it is about none or about a recording.
        recipe: all that was drawn, for people to read.
    """

    plan: Plan
    audio: npt.NDArray[np.int16]
    word_start: int
    word_end: int
    clip: int
    recipe: dict[str, Any]


class WindowRenderer:
    """Renders the windows of one split.

    Args:
        sources: clips and recordings of the split.
        split: one of `SPLITS`.
        seed: of the settings.
        n_samples: length of a window.
        room_share: share of windows with a voice that are in a room.
        noise_share: share of windows with noise above the recorder's own.
        snr_db: range of the signal to noise ratio.

    Attributes:
        sources: as given.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        split: Split,
        seed: int,
        n_samples: int,
        room_share: float,
        noise_share: float,
        snr_db: tuple[float, float],
    ) -> None:
        self.sources, self._split, self._seed, self._n = sources, split, seed, n_samples
        self._room_share, self._noise_share, self._snr_db = room_share, noise_share, snr_db

    def render(self, plan: Plan) -> Window:
        """Carry out a plan."""
        rng = np.random.default_rng([self._seed, SPLITS.index(self._split), plan.index])
        recipe: dict[str, Any] = {"split": self._split, "index": plan.index, "form": plan.form}
        if plan.form == "noise":
            audio, start, end = self._only_noise(rng, recipe), -1, -1
        else:
            voices, start, end = self._voices(plan, rng, recipe)
            audio = self._around(voices, rng, recipe)
        # Only a take has to know what to keep: the word, or in running speech some part near the end.
        middle = round(_KEPT_WITHOUT_WORD * self._n)
        first, last = (start, end) if end >= 0 else (middle, middle)
        kept = {"n_samples": self._n, "word_start": first, "word_end": last}
        for name, share in _CHAIN.items():
            if rng.random() < share:
                recipe[name] = AUGMENTATIONS[name].draw(rng, **(kept if name == "take" else {}))
                audio = AUGMENTATIONS[name].apply(audio, rng, **recipe[name])
        return Window(
            plan=plan,
            audio=to_int16(audio),
            word_start=start,
            word_end=end,
            clip=recipe.get("clip", -1),
            recipe=recipe,
        )

    def _voices(self, plan: Plan, rng: np.random.Generator, recipe: dict[str, Any]) -> tuple[Audio, int, int]:
        """The dry voices ``[n]``, and where the word is."""
        if plan.form == "running":
            return self._running(rng, recipe), -1, -1
        word = self._word(plan, rng, recipe)
        jitter = int(rng.integers(0, round(_END_JITTER_S * SAMPLE_RATE_HZ)))
        end = self._n - jitter
        if plan.form == "cut":
            end = self._n + len(word) - round(len(word) * rng.uniform(*_CUT_SHARE_HEARD))
        elif plan.form in {"phrase", "partial"}:
            # A long word leaves less room for the jitter; it is never cut.
            end = max(end, len(word))
        start = end - len(word)
        canvas = np.zeros(self._n, np.float32)
        add_at(canvas, word, start=start)
        level = active_rms(word)
        # Both are drawn whatever the form, so that forms differ in nothing else.
        before, after = rng.random() < _BEFORE_SHARE, rng.random() < _AFTER_SHARE
        if before:
            neighbour = self._neighbour(rng, recipe, name="before", level=level)
            add_at(canvas, neighbour, start=start - _gap(rng) - len(neighbour))
        if after:
            neighbour = self._neighbour(rng, recipe, name="after", level=level)
            add_at(canvas, neighbour, start=end + _gap(rng))
        return canvas, max(start, 0), end

    def _word(self, plan: Plan, rng: np.random.Generator, recipe: dict[str, Any]) -> Audio:
        """The sound that the window is about, at some speed."""
        if plan.recording is not None:
            recipe["recording"] = plan.recording.path
            word = trim(read_recording(plan.recording.path))
        else:
            clip = plan.clip if plan.clip >= 0 else self.sources.other_clip(rng)
            recipe["clip"] = clip
            word = self.sources.clip_audio(clip)
        if plan.form == "piece":
            word = cut_piece(word, rng, n_samples=self.sources.phrase_length(rng))
        if rng.random() < _SPEED_SHARE:
            drawn = AUGMENTATIONS["speed"].draw(rng)
            if plan.form in {"phrase", "partial"} and len(word) > drawn["factor"] * (self._n - _SPARE_SAMPLES):
                drawn["factor"] = 1.0  # slower, it would not fit
            recipe["speed"] = drawn
            word = AUGMENTATIONS["speed"].apply(word, rng, **drawn)
        return word[-self._n :] if plan.form == "ending" else word

    def _neighbour(self, rng: np.random.Generator, recipe: dict[str, Any], *, name: str, level: float) -> Audio:
        """Other speech about as loud as the word, half of the time by the same voice."""
        clip = self.sources.other_clip(rng, like=recipe.get("clip", -1) if rng.random() < 0.5 else -1)
        recipe[name] = clip
        audio = self.sources.clip_audio(clip)
        return audio * np.float32(level * gain(rng.normal(0.0, _NEIGHBOUR_DB)) / max(active_rms(audio), 1e-6))

    def _running(self, rng: np.random.Generator, recipe: dict[str, Any]) -> Audio:
        """Speech that goes on over the whole window: clips joined, or an excerpt of a real recording."""
        recordings = self.sources.recordings("speech")
        if recordings and rng.random() < _REAL_SPEECH_SHARE:
            excerpt, recipe["excerpt"] = self._excerpt(recordings, rng)
            return excerpt
        recipe["speed"] = AUGMENTATIONS["speed"].draw(rng)
        speech, recipe["clips"] = self._joined(rng, speed=recipe["speed"])
        return speech

    def _joined(self, rng: np.random.Generator, *, speed: dict[str, Any] | None = None) -> tuple[Audio, list[int]]:
        """Clips one after the other, the first cut anywhere; half of the time the same voice goes on."""
        canvas = np.zeros(self._n, np.float32)
        clips: list[int] = []
        position = 0
        while position < self._n:
            clips.append(self.sources.other_clip(rng, like=clips[-1] if clips and rng.random() < 0.5 else -1))
            audio = self.sources.clip_audio(clips[-1])
            if speed is not None:
                audio = AUGMENTATIONS["speed"].apply(audio, rng, **speed)
            if len(clips) == 1:
                position = -int(rng.integers(0, len(audio)))
            add_at(canvas, audio, start=position)
            position += len(audio) + _gap(rng)
        return canvas, clips

    def _around(self, voices: Audio, rng: np.random.Generator, recipe: dict[str, Any]) -> Audio:
        """The voices in a room, with noise."""
        audio = voices
        if rng.random() < self._room_share:
            measured = self.sources.recordings("rir")
            if measured and rng.random() < _MEASURED_ROOM_SHARE:
                response = measured[int(rng.integers(len(measured)))]
                recipe["room"] = {"recording": response.path}
                audio = room.convolve(audio, room.direct_first(read_recording(response.path)))
            else:
                recipe["room"] = AUGMENTATIONS["room"].draw(rng)
                audio = AUGMENTATIONS["room"].apply(audio, rng, **recipe["room"])
        if rng.random() < self._noise_share:
            audio = self._add_noise(audio, rng, recipe)
        return audio

    def _add_noise(
        self, audio: Audio, rng: np.random.Generator, recipe: dict[str, Any], *, voices: bool = True
    ) -> Audio:
        """Noise of one kind; babble only if voices are wanted."""
        recordings = self.sources.recordings("noise")
        drawn = noise.draw(rng, snr_db=self._snr_db, recordings=bool(recordings))
        if drawn["kind"] == "babble" and not voices:
            drawn["kind"] = "coloured"
        sounds: Sequence[Audio] = ()
        facts = dict(drawn)
        if drawn["kind"] == "babble":
            sounds = [self._joined(rng)[0] for _ in range(int(rng.integers(2, 9)))]
            facts["voices"] = len(sounds)
        elif drawn["kind"] == "recording":
            excerpt, facts["excerpt"] = self._excerpt(recordings, rng)
            sounds = [excerpt]
        recipe.setdefault("noise", []).append(facts)
        return noise.apply(audio, rng, sounds=sounds, **drawn)

    def _only_noise(self, rng: np.random.Generator, recipe: dict[str, Any]) -> Audio:
        """No voice: one noise or two, or nothing but what the recorder adds."""
        audio = np.zeros(self._n, np.float32)
        if rng.random() < _SILENCE_SHARE:
            return audio
        for _ in range(2 if rng.random() < _SECOND_NOISE_SHARE else 1):
            audio = self._add_noise(audio, rng, recipe, voices=False)
        return audio

    def _excerpt(self, recordings: Sequence[Recording], rng: np.random.Generator) -> tuple[Audio, dict[str, Any]]:
        """A window's length of a recording drawn by its length; a shorter recording starts anywhere in the window."""
        lengths = np.array([recording.seconds for recording in recordings])
        recording = recordings[int(rng.choice(len(recordings), p=lengths / lengths.sum()))]
        window_s = self._n / SAMPLE_RATE_HZ
        start_s = float(rng.uniform(0.0, max(0.0, recording.seconds - window_s)))
        audio = read_recording(recording.path, start_s=start_s, seconds=window_s)[: self._n]
        canvas = np.zeros(self._n, np.float32)
        add_at(canvas, audio, start=int(rng.integers(0, self._n - len(audio) + 1)))
        return canvas, {"recording": recording.path, "start_s": round(start_s, 3)}


def _gap(rng: np.random.Generator) -> int:
    """Samples of silence between two utterances."""
    limits = _LONG_GAP_S if rng.random() < _LONG_GAP_SHARE else _GAP_S
    return round(float(rng.uniform(*limits)) * SAMPLE_RATE_HZ)
