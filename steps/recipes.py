"""Drawing the recipes of windows: which sounds, where, and what they go through.

Each recipe is drawn from a generator of its own, keyed by seed, split and number, and each augmentation within it from
one of its own. So nothing depends on how many processes work, and leaving an augmentation out leaves all else as it
was: what a measurement then shows is the augmentation and not the luck of other draws.

All forms of window pass through the same augmentations with the same shares, and a part of the other speech ends where
the phrase would end, so that neither sound nor place gives the phrase away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.table import AUGMENTATIONS
from steps.recordings import Recording
from steps.rooms import Rooms
from steps.scene import Scene
from steps.sources import Sound, Sources, recorded_word
from steps.splicing import find_piece
from steps.windows import SPLITS, Form, Recipe, Split

__all__ = ["Plan", "RecipeDrawer"]

_END_JITTER_S: Final = 0.25
_CUT_SHARE_HEARD: Final = (0.3, 0.6)
_REAL_SPEECH_SHARE: Final = 0.5
_SILENCE_SHARE: Final = 0.2
_SECOND_NOISE_SHARE: Final = 0.3
_KEPT_WITHOUT_WORD: Final = 0.7
# Never cut, however slow they are said.
_WHOLE: Final[frozenset[Form]] = frozenset({"phrase", "partial", "neighbour"})

Effect = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a window is to hold.

    Attributes:
        index: its number in its split.
        form: ``phrase``, ``partial``, ``neighbour``, ``ending``, ``piece``: ends shortly before the window does;
            ``cut``: the window ends within the phrase; ``running``: speech cropped anywhere; ``noise``: no voice.
        clip: number of the clip that it is about, -1 if any will do.
        recording: a real recording of the phrase in place of a clip.
    """

    index: int
    form: Form
    clip: int = -1
    recording: Recording | None = None


class RecipeDrawer:
    """Draws the recipes of one split.

    Args:
        sources: clips and recordings of the split.
        split: one of `SPLITS`.
        seed: of the settings.
        n_samples: length of a window.
        shares: of windows that each augmentation is applied to, by its name; none for a name that is missing.
        snr_db: range of the signal to noise ratio.
        rooms: to draw from.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        split: Split,
        seed: int,
        n_samples: int,
        shares: Mapping[str, float],
        snr_db: tuple[float, float],
        rooms: Rooms,
    ) -> None:
        self._sources, self._split, self._seed, self._n = sources, split, seed, n_samples
        self._shares, self._snr_db, self._rooms = shares, snr_db, rooms

    def draw(self, plan: Plan) -> Recipe:
        """The recipe of a window."""
        rng = np.random.default_rng([self._seed, SPLITS.index(self._split), plan.index])
        # All of them for each window, so that shares change nothing but what they are shares of.
        dice, seeds = rng.random(len(AUGMENTATIONS)), rng.integers(2**63, size=len(AUGMENTATIONS))
        chosen = {
            name: int(seed)
            for name, die, seed in zip(AUGMENTATIONS, dice, seeds, strict=True)
            if die < self._shares.get(name, 0.0)
        }
        voices, word = self._voices(plan, chosen, rng)
        scene = self._scene(voices, word)
        effects = self._noises(scene, rng) if plan.form == "noise" else []
        for name, seed in chosen.items():
            row = AUGMENTATIONS[name]
            fits = {"voice": False, "word": word is not None, "speech": bool(voices), "sound": True}[row.of]
            if fits:
                effects.append({"name": name, **row.draw(np.random.default_rng(seed), scene)})
        return Recipe(
            split=self._split,
            index=plan.index,
            form=plan.form,
            n_samples=self._n,
            word=word or (-1, -1),
            voices=voices,
            effects=effects,
        )

    def _scene(self, voices: list[Sound], word: tuple[int, int] | None) -> Scene:
        """Without a word some part near the end is what must be kept."""
        middle = round(_KEPT_WITHOUT_WORD * self._n)
        start, end = word or (middle, middle)
        return Scene(
            n_samples=self._n,
            word_start=start,
            word_end=end,
            clip=voices[0].get("clip", -1) if voices else -1,
            has_voice=bool(voices),
            snr_db=self._snr_db,
            sources=self._sources,
            rooms=self._rooms,
        )

    def _voices(
        self, plan: Plan, chosen: Mapping[str, int], rng: np.random.Generator
    ) -> tuple[list[Sound], tuple[int, int] | None]:
        """The voices that the window is about, and where the word is."""
        if plan.form == "noise":
            return [], None
        scene = self._scene([], None)
        effects: list[Effect] = [
            {"name": name, **AUGMENTATIONS[name].draw(np.random.default_rng(seed), scene)}
            for name, seed in chosen.items()
            if AUGMENTATIONS[name].of == "voice"
        ]
        if plan.form == "running":
            return self._running(effects, rng), None
        sound, n_samples = self._word(plan, rng)
        if plan.form in _WHOLE:
            effects = self._fitting(effects, n_samples)
        n_samples = _length(n_samples, effects)
        end = self._n - int(rng.integers(0, round(_END_JITTER_S * SAMPLE_RATE_HZ)))
        if plan.form == "cut":
            end = self._n + n_samples - round(n_samples * rng.uniform(*_CUT_SHARE_HEARD))
        elif plan.form in _WHOLE:
            # A long word leaves less room for the jitter.
            end = max(end, n_samples)
        return [{**sound, "start": end - n_samples, "effects": effects}], (end - n_samples, end)

    def _word(self, plan: Plan, rng: np.random.Generator) -> tuple[Sound, int]:
        """The sound that the window is about, and its length."""
        if plan.recording is not None:
            first, last = recorded_word(plan.recording.path)
            return {"recording": plan.recording.path, "part": [first, last]}, last - first
        clip = plan.clip if plan.clip >= 0 else self._sources.other_clip(rng)
        if plan.form == "piece":
            n_samples = self._sources.phrase_length(rng)
            if piece := find_piece(self._sources.clip_audio(clip), rng, n_samples=n_samples):
                return {"clip": clip, "part": list(piece)}, piece[1] - piece[0]
        return {"clip": clip}, self._sources.clip_samples(clip)

    def _fitting(self, effects: list[Effect], n_samples: int) -> list[Effect]:
        """Those of the effects after which a word of this length still fits into the window."""
        fitting: list[Effect] = []
        for effect in effects:
            if _length(n_samples, [*fitting, effect]) <= self._n:
                fitting.append(effect)
        return fitting

    def _running(self, effects: list[Effect], rng: np.random.Generator) -> list[Sound]:
        """Speech that goes on over the whole window: clips joined, or an excerpt of a real recording."""
        if self._sources.recordings("speech") and rng.random() < _REAL_SPEECH_SHARE:
            return [self._sources.excerpt("speech", rng, n_samples=self._n)]
        sounds = self._sources.talk(rng, n_samples=self._n, length=lambda n: _length(n, effects))
        return [{**sound, "effects": effects} for sound in sounds]

    def _noises(self, scene: Scene, rng: np.random.Generator) -> list[Effect]:
        """Of a window without a voice: one noise or two, or nothing but what the recorder adds."""
        count = 0 if rng.random() < _SILENCE_SHARE else 2 if rng.random() < _SECOND_NOISE_SHARE else 1
        return [{"name": "noise", **AUGMENTATIONS["noise"].draw(rng, scene)} for _ in range(count)]


def _length(n_samples: int, effects: list[Effect]) -> int:
    """Samples that a sound of so many has after some effects."""

    def after(n: int, effect: Effect) -> int:
        row = AUGMENTATIONS[effect["name"]]
        return row.length(n, **{key: value for key, value in effect.items() if key != "name"}) if row.length else n

    return reduce(after, effects, n_samples)
