"""A window of training audio, and how it is rendered from its recipe.

A recipe says which sounds are where, what each voice goes through by itself, and what all of them go through together,
in the order of nature: other speech, room, noise, microphone, gate, level, the recording's edges, codec. It says all:
the same recipe gives the same samples, whoever renders it and whatever was rendered before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import StorageError
from steps.augmentations.table import AUGMENTATIONS
from steps.decibels import Audio, to_int16
from steps.rooms import Rooms
from steps.scene import Scene
from steps.sources import Sound, Sources
from steps.splicing import add_at

__all__ = ["FORMS", "POOLS", "SPLITS", "Form", "Recipe", "Split", "Window", "render"]

Form = Literal["phrase", "partial", "neighbour", "cut", "ending", "piece", "running", "noise"]
Split = Literal["train", "validation"]

SPLITS: Final[tuple[Split, ...]] = ("train", "validation")
# Stores hold their numbers: new ones come last.
POOLS: Final = ("positive", "partial", "speech", "noise", "neighbour")
FORMS: Final[dict[Form, str]] = {
    "phrase": "positive",
    "partial": "partial",
    "neighbour": "neighbour",
    "cut": "partial",
    "ending": "speech",
    "piece": "speech",
    "running": "speech",
    "noise": "noise",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a window's samples, in plain values.

    Attributes:
        split: one of `SPLITS`.
        index: number of the window in its split.
        form: what it holds: one of `FORMS`, see `steps.recipes.Plan`.
        n_samples: its length.
        word: first sample of the word that ends with the window and the one after its last, which are outside if the
            window holds it in part; -1, -1 if there is none.
        voices: sounds (see `steps.sources`), each perhaps with its own ``effects``; the word is the first.
        effects: what their sum goes through: ``name`` of a row of the table, and its parameters.
    """

    split: Split
    index: int
    form: Form
    n_samples: int
    word: tuple[int, int] = (-1, -1)
    voices: list[Sound] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pool(self) -> str:
        """One of `POOLS`."""
        return FORMS[self.form]

    @property
    def clip(self) -> int:
        """Number of the clip that the window is about; -1 if it is about none or about a recording."""
        return int(self.voices[0].get("clip", -1)) if self.word != (-1, -1) else -1

    def names(self) -> set[str]:
        """The augmentations that it applies."""
        return {effect["name"] for voice in self.voices for effect in voice.get("effects", ())} | {
            effect["name"] for effect in self.effects
        }

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return asdict(self)

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Self:
        """As it was written.

        Raises:
            StorageError: it was written by another version of this program.
        """
        try:
            start, end = written["word"]
            return cls(**{**written, "word": (int(start), int(end))})
        except (KeyError, TypeError, ValueError):
            raise StorageError(
                "the recipes of these windows are those of another version", hint="Run: dvc repro --force augment"
            ) from None


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rendered window.

    Attributes:
        recipe: as given.
        audio: int16 ``[n_samples]``.
    """

    recipe: Recipe
    audio: npt.NDArray[np.int16]


def render(recipe: Recipe, *, sources: Sources, rooms: Rooms) -> Window:
    """Carry out a recipe.

    Args:
        recipe: as drawn by `steps.recipes.RecipeDrawer`.
        sources: of its split.
        rooms: a bank that saves the time to simulate its room, or an empty one.
    """
    scene = Scene(
        n_samples=recipe.n_samples,
        word_start=recipe.word[0],
        word_end=recipe.word[1],
        clip=recipe.clip,
        has_voice=bool(recipe.voices),
        snr_db=(0.0, 0.0),  # of draws only
        sources=sources,
        rooms=rooms,
    )
    audio = np.zeros(recipe.n_samples, np.float32)
    for voice in recipe.voices:
        sound = sources.sound(voice)
        for effect in voice.get("effects", ()):
            sound = _apply(sound, scene, **effect)
        add_at(audio, sound, start=voice["start"])
    for effect in recipe.effects:
        audio = _apply(audio, scene, **effect)
    return Window(recipe=recipe, audio=to_int16(audio))


def _apply(audio: Audio, scene: Scene, *, name: str, **parameters: Any) -> Audio:
    return AUGMENTATIONS[name].apply(audio, scene, **parameters)
