"""``python -m steps clips``: the windows that a model is trained on, in words, played, and written as WAV files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import AudioError, ConfigError, DependencyError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import ClipPack, Kind
from steps.clippack import Split as ClipSplit
from steps.decibels import to_int16
from steps.rendering import load_sources
from steps.rooms import Rooms
from steps.settings import load_settings
from steps.sources import Sources
from steps.stage import STAGES
from steps.telling import tell_clip, tell_recipe
from steps.windows import FORMS, Recipe, Split, render

__all__ = ["add_arguments", "run"]

_SHOWN: Final = 10

Samples = npt.NDArray[np.int16]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "List the windows of training audio with their recipes, in words. They are rendered again from their recipes,\n"
        "so that --without lets you hear what an augmentation does."
    )
    parser.epilog = (
        "examples:\n"
        "  nanowakeword clips --form phrase\n"
        "  nanowakeword clips workspaces/alexa --number 17 --export listen --without room --without noise\n"
        "  nanowakeword clips --dry --form partial --split test --play"
    )
    parser.add_argument(
        "workspace", metavar="WORKSPACE", type=Path, nargs="?", default=Path(), help="default: this one"
    )
    parser.add_argument("--form", help=f"of windows {', '.join(FORMS)}; of dry clips {', '.join(get_args(Kind))}")
    parser.add_argument("--split", choices=get_args(ClipSplit), default="train", help="default: train")
    parser.add_argument("--number", type=int, metavar="N", help="only this one of the split, or this dry clip")
    parser.add_argument("--count", type=int, default=_SHOWN, metavar="N", help=f"how many (default: {_SHOWN})")
    parser.add_argument("--dry", action="store_true", help="clips as they were spoken, in place of windows")
    parser.add_argument(
        "--without", action="append", default=[], choices=list(AUGMENTATIONS), metavar="NAME",
        help=f"leave out an augmentation: {', '.join(AUGMENTATIONS)}; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="write WAV files, each window's dry clip and its recipe beside it"
    )
    parser.add_argument("--play", action="store_true", help="play them")


def run(options: argparse.Namespace) -> None:
    """List, export, play.

    Raises:
        ConfigError: there are none of that kind.
        DependencyError: there is nothing to play with.
    """
    stage = "synthesize" if options.dry else "augment"
    if not (options.workspace / STAGES[stage].out).is_dir():
        raise ConfigError(f"the stage {stage} has not run in {options.workspace}", hint="Run: dvc repro")
    found = False
    for name, lines, sounds in islice(_dry(options) if options.dry else _windows(options), max(0, options.count)):
        found = True
        print("\n    ".join(lines))
        if options.export:
            _export(options.export, name, lines, sounds)
        if options.play:
            _play(sounds[""])
    if not found:
        wanted = [f"{key} {value}" for key in ("form", "number") if (value := getattr(options, key)) is not None]
        raise ConfigError(f"no {'dry clips' if options.dry else 'windows'} of {', '.join([options.split, *wanted])}")


_Found = tuple[str, list[str], dict[str, Samples]]


def _dry(options: argparse.Namespace) -> Iterator[_Found]:
    """Clips as they were spoken: a name, words, and the samples."""
    _check_form(options.form, known=get_args(Kind))
    pack = ClipPack(options.workspace / STAGES["synthesize"].out)
    for number, clip in enumerate(pack.clips):
        wanted = options.number in {None, number} and options.form in {None, clip.kind}
        if wanted and (clip.split == options.split or options.number is not None):
            name = f"clip-{number:06d}-{clip.kind}"
            yield name, [f"{clip.split}, {clip.kind}, {tell_clip(number, clip)}"], {"": pack.audio(number)}


def _windows(options: argparse.Namespace) -> Iterator[_Found]:
    """Windows: a name, words, and the samples of the window and of the dry clip that it is about."""
    _check_form(options.form, known=tuple(FORMS))
    settings = load_settings(options.workspace / "params.yaml")
    folders = {stage: options.workspace / STAGES[stage].out for stage in ("synthesize", "corpus", "augment")}
    sources: dict[Split, Sources] = {}
    with (folders["augment"] / "recipes.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            recipe = Recipe.from_json(json.loads(line))
            wanted = options.number in {None, recipe.index} and options.form in {None, recipe.form}
            if not wanted or recipe.split != options.split:
                continue
            sources = sources or load_sources(
                clips=folders["synthesize"], corpus=folders["corpus"], phrase=settings.wakeword.phrase
            )
            recipe = _leave_out(recipe, options.without)
            mine = sources[recipe.split]
            sounds = {"": render(recipe, sources=mine, rooms=Rooms()).audio}
            if recipe.word[1] >= 0:
                sounds["-dry"] = to_int16(mine.sound(recipe.voices[0]))
            name = f"{recipe.split}-{recipe.index:06d}-{recipe.form}"
            yield "-without-".join([name, *options.without]), tell_recipe(recipe, mine.pack), sounds


def _check_form(form: str | None, *, known: tuple[str, ...]) -> None:
    if form is not None and form not in known:
        raise ConfigError("--form", got=repr(form), expected=f"one of {', '.join(known)}")


def _leave_out(recipe: Recipe, names: list[str]) -> Recipe:
    """The recipe without some effects; those that change a voice's length stay, or the word would lie elsewhere."""

    def kept(effects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [effect for effect in effects if effect["name"] not in names]

    fixed = [name for name in names if AUGMENTATIONS[name].length]
    if fixed:
        raise ConfigError(
            f"--without {fixed[0]}", hint="The word would lie elsewhere: set its share to 0 and run the stage augment"
        )
    voices = [{**voice, "effects": kept(voice.get("effects", []))} for voice in recipe.voices]
    return replace(recipe, voices=voices, effects=kept(recipe.effects))


def _export(folder: Path, name: str, lines: list[str], sounds: dict[str, Samples]) -> None:
    """Write the sounds, and the words as text."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for ending, audio in sounds.items():
        soundfile.write(folder / f"{name}{ending}.wav", audio, SAMPLE_RATE_HZ)
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _play(audio: Samples) -> None:
    """Through the loudspeaker."""
    hint = "Write files and play them elsewhere: --export DIR"
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # no package, or no PortAudio
        raise DependencyError(f"nothing to play with: {error}", hint=hint) from None
    try:
        sounddevice.play(audio, SAMPLE_RATE_HZ, blocking=True)
    except sounddevice.PortAudioError as error:
        raise AudioError(f"cannot play: {error}", hint=hint) from None
