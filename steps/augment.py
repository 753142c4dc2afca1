"""Stage augment: windows as a microphone would have recorded them, rendered from clips and real recordings.

    windows.zarr    groups train and validation; rows: audio int16 [n, samples], label, pool, word_start, word_end, clip
    recipes.jsonl   one `Recipe` per window, in the same order: all that decides its samples
    summary.json    windows by split and form, how many each augmentation was applied to, what was left out, and what
                    was measured: clips of the phrase, their voices, hours and lengths, signal-to-noise of its windows
    automatic.json  the settings that were derived from that

For each clip of the phrase there are ``copies`` windows, each ending 0 to 250 ms after the word does; one window in ten
more ends within the word; each partial phrase has ``copies`` windows too, or fewer where ``copies`` is derived from few
clips, and each neighbour of the phrase ``neighbour_copies``. Validation is made the same way from its own voices and
rooms, with an eighth of the negatives, and without neighbours: it ranks weights by what every choice of settings has to
tell apart. Clips longer than a window are left out: the phrase is never cut.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from typing import Any, Final, NamedTuple

import numpy as np

from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augmentations.table import AUGMENTATIONS
from steps.automatic import choose_copies, choose_partial_copies
from steps.derived import Derived, save_derived
from steps.measured import describe_clips, describe_ratios, tell_measured, word_to_rest_db
from steps.recipes import Plan
from steps.rendering import Kit, WindowMaker
from steps.settings import Augment
from steps.sources import Sources, recorded_word
from steps.stage import Context
from steps.store import RowWriter
from steps.windows import POOLS, SPLITS, Form, Recipe, Split, Window
from steps.workers import map_in_order

__all__ = ["Copies", "plan_windows", "run", "settle_copies"]

_CUTS_PER_PHRASE: Final = 0.1
_VALIDATION_SHARE: Final = 0.125
# Of the windows of other speech: cropped anywhere, the end of an utterance, a lone word.
_SPEECH_FORMS: Final[tuple[Form, ...]] = ("running", "running", "ending", "piece")
_BLOCK: Final = 64

_Block = tuple[Split, list[Plan]]


def run(context: Context) -> None:
    """Plan the windows, render them in processes, write them in order."""
    settings = context.settings.augment
    kit = Kit(
        clips=context.input("synthesize"),
        corpus=context.input("corpus"),
        rooms=context.out / "rooms.npy",
        phrase=context.settings.wakeword.phrase,
        seed=context.settings.seed,
        settings=settings,
    )
    blocks: list[_Block] = []
    left_out = 0
    sources_of = kit.sources()
    copies, derived = settle_copies(settings, sources_of["train"])
    for item in derived:
        context.progress.say(f"automatic: {item.name} {item.value}: {item.reason}")
    save_derived(context.out, derived)
    for split, sources in sources_of.items():
        plans, skipped = plan_windows(sources, settings, copies=copies, is_validation=split == "validation")
        blocks += [(split, plans[i : i + _BLOCK]) for i in range(0, len(plans), _BLOCK)]
        left_out += skipped
    if left_out:
        context.progress.say(
            f"left out {left_out} clips and recordings longer than augment.window_s, {settings.window_s:g} s"
        )
    kit.simulate_rooms(context.progress)
    total, done = sum(len(plans) for _, plans in blocks), 0
    forms: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    effects: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    ratios_db: dict[str, list[float]] = {split: [] for split in SPLITS}
    with (
        RowWriter(context.out / "windows.zarr") as store,
        (context.out / "recipes.jsonl").open("w", encoding="utf-8") as recipes,
        closing(map_in_order(_render, blocks, workers=settings.workers, start=_start, arguments=(kit,))) as rendered,
    ):
        for split in SPLITS:
            store.attributes[split] = {"pools": list(POOLS), "sample_rate_hz": SAMPLE_RATE_HZ}
        for (split, _), windows in zip(blocks, rendered, strict=True):
            _append(store, split, windows)
            for window in windows:
                recipes.write(json.dumps(window.recipe.to_json(), ensure_ascii=False) + "\n")
                forms[split][window.recipe.form] += 1
                effects[split].update(window.recipe.names())
                if window.recipe.form == "phrase":
                    start, end = window.recipe.word
                    ratios_db[split] += word_to_rest_db(window.audio, start=start, end=end)
            done += len(windows)
            context.progress.update(done, total, unit="windows")
    kit.rooms.unlink()
    augmented = {split: {name: counts[name] for name in AUGMENTATIONS} for split, counts in effects.items()}
    measured = {
        split: {
            **describe_clips(sources.pack, sources.phrases),
            "recordings": len(sources.spoken),
            "snr_db": describe_ratios(ratios_db[split]),
        }
        for split, sources in sources_of.items()
    }
    for split, found in measured.items():
        context.progress.say(f"{split}: {tell_measured(found)}")
    summary = {"windows": forms, "augmented": augmented, "left_out": left_out, "measured": measured}
    (context.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


class Copies(NamedTuple):
    """Windows from each clip of the phrase, and from each of a part of it."""

    phrase: int
    partial: int


def settle_copies(settings: Augment, sources: Sources) -> tuple[Copies, list[Derived[int]]]:
    """How many windows each clip gives, and what of the settings was derived for that.

    Args:
        settings: of the stage.
        sources: of the split train.
    """
    if settings.copies != "auto":
        return Copies(settings.copies, settings.copies), []
    n_samples = _window_samples(settings)
    found = choose_copies(max(1, len(sources.fitting(sources.phrases, n_samples))))
    phrase = found.value
    return Copies(phrase, choose_partial_copies(len(sources.fitting(sources.partials, n_samples)), phrase)), [found]


def plan_windows(sources: Sources, settings: Augment, *, copies: Copies, is_validation: bool) -> tuple[list[Plan], int]:
    """What windows a split gets.

    Args:
        sources: of the split.
        settings: of the stage.
        copies: see `settle_copies`.
        is_validation: whether to make an eighth of the negatives.

    Returns:
        The plans, and the number of clips and recordings of the phrase that are longer than a window.

    Raises:
        ConfigError: all clips of the phrase are longer than a window.
    """
    n_samples = _window_samples(settings)
    phrases, partials = sources.fitting(sources.phrases, n_samples), sources.fitting(sources.partials, n_samples)
    neighbours = sources.fitting(sources.neighbours, n_samples)
    if not phrases:
        raise ConfigError(
            "augment.window_s is shorter than every clip of the phrase", got=settings.window_s, hint="Make it longer"
        )
    share = _VALIDATION_SHARE if is_validation else 1.0
    plans: list[Plan] = []

    def add(form: Form, **facts: Any) -> None:
        plans.append(Plan(index=len(plans), form=form, **facts))

    spoken = phrases * copies.phrase
    for clip in spoken:
        add("phrase", clip=clip)
    lengths = {r: last - first for r in sources.spoken for first, last in [recorded_word(r.path)]}
    recorded = [r for r, length in lengths.items() if length <= n_samples]
    # A few real recordings of the phrase are worth many windows, but not more than all synthetic ones.
    for _ in range(min(settings.recording_copies, len(spoken) // max(1, len(recorded)))):
        for recording in recorded:
            add("phrase", recording=recording)
    for clip in spoken[:: round(1.0 / _CUTS_PER_PHRASE)]:
        add("cut", clip=clip)
    for clip in partials * copies.partial:
        add("partial", clip=clip)
    if not is_validation:
        for clip in neighbours * settings.neighbour_copies:
            add("neighbour", clip=clip)
    speech = round(settings.negatives * share)
    for number in range(speech):
        add(_SPEECH_FORMS[number * len(_SPEECH_FORMS) // speech])
    for _ in range(round(settings.noise * share)):
        add("noise")
    had = len(sources.phrases) + len(sources.partials) + len(sources.neighbours) + len(sources.spoken)
    return plans, had - len(phrases) - len(partials) - len(neighbours) - len(recorded)


def _window_samples(settings: Augment) -> int:
    return round(settings.window_s * SAMPLE_RATE_HZ)


def _append(store: RowWriter, split: Split, windows: list[Window]) -> None:
    """Write one block of rows."""
    recipes = [window.recipe for window in windows]
    pools = np.array([POOLS.index(recipe.pool) for recipe in recipes], np.int8)
    store.append(f"{split}/audio", np.stack([window.audio for window in windows]))
    store.append(f"{split}/pool", pools)
    store.append(f"{split}/label", (pools == POOLS.index("positive")).astype(np.int8))
    store.append(f"{split}/word_start", np.array([_first(recipe) for recipe in recipes], np.int32))
    store.append(f"{split}/word_end", np.array([recipe.word[1] for recipe in recipes], np.int32))
    store.append(f"{split}/clip", np.array([recipe.clip for recipe in recipes], np.int32))


def _first(recipe: Recipe) -> int:
    """First sample of the word within the window, -1 if there is none."""
    return max(0, recipe.word[0]) if recipe.word[1] >= 0 else -1


_makers: dict[Split, WindowMaker] = {}


def _start(kit: Kit) -> None:
    _makers.update(kit.makers())


def _render(block: _Block) -> list[Window]:
    split, plans = block
    maker = _makers[split]
    return [maker.render(maker.draw(plan)) for plan in plans]
