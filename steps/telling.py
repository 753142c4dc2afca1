"""Recipes and clips in words."""

from __future__ import annotations

from typing import Any

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import Clip, ClipPack
from steps.sources import Sound
from steps.windows import Recipe

__all__ = ["tell_clip", "tell_recipe"]

_FORMS = {
    "phrase": "the phrase",
    "partial": "a part of the phrase",
    "neighbour": "a neighbour of the phrase",
    "cut": "the phrase, cut off by the window's end",
    "ending": "the end of other speech",
    "piece": "a piece of other speech",
    "running": "other speech",
    "noise": "no voice",
}


def tell_clip(number: int, clip: Clip) -> str:
    """A dry clip: what was said, by whom, how fast."""
    length = f"{clip.n_samples / SAMPLE_RATE_HZ:.2f} s"
    return f"clip {number}: {clip.text!r}, {clip.engine} {clip.voice} at {100 * clip.speed:.0f} % speed, {length}"


def tell_recipe(recipe: Recipe, pack: ClipPack) -> list[str]:
    """A window: what it holds, then each thing that was done, one a line."""
    where = f", from {recipe.word[0] / SAMPLE_RATE_HZ:.2f} to {recipe.word[1] / SAMPLE_RATE_HZ:.2f} s"
    lines = [f"{recipe.split} {recipe.index}: {_FORMS[recipe.form]}{where if recipe.word[1] >= 0 else ''}"]
    lines += [
        ", ".join([_tell_sound(voice, pack), *map(_tell_effect, voice.get("effects", ()))]) for voice in recipe.voices
    ]
    return lines + [_tell_effect(effect) for effect in recipe.effects]


def _tell_sound(sound: Sound, pack: ClipPack) -> str:
    name = tell_clip(sound["clip"], pack.clips[sound["clip"]]) if "clip" in sound else str(sound["recording"])
    if "from_s" in sound:
        name += f" from {sound['from_s']:.1f} s on"
    if "part" in sound:
        first, last = sound["part"]
        name += f", of which {first / SAMPLE_RATE_HZ:.2f} to {last / SAMPLE_RATE_HZ:.2f} s"
    return name


def _tell_effect(effect: dict[str, Any]) -> str:
    parameters = {key: value for key, value in effect.items() if key != "name"}
    return AUGMENTATIONS[effect["name"]].tell(**parameters)
