"""Stage augment: windows as a microphone would have recorded them, rendered from clips and real recordings.

    windows.zarr    groups train and validation; rows: audio int16 [n, samples], label, pool, word_start, word_end, clip
    recipes.jsonl   one line per window, in the same order: what was mixed, and how
    summary.json    windows by split and form, and what was left out

For each clip of the phrase there are ``copies`` windows, each ending 0 to 250 ms after the word does; one window in ten
more ends within the word; each partial phrase has ``copies`` windows. Validation is made the same way from its own
voices, with an eighth of the negatives. Clips longer than a window are left out: the phrase is never cut.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.clippack import ClipPack
from steps.recordings import load_recordings, read_recording
from steps.settings import Augment
from steps.sources import Sources
from steps.splicing import trim
from steps.stage import Context
from steps.store import RowWriter
from steps.windows import POOLS, SPLITS, Form, Plan, Split, Window, WindowRenderer
from steps.workers import map_in_order

__all__ = ["plan_windows", "run"]

_CUTS_PER_PHRASE: Final = 0.1
_VALIDATION_SHARE: Final = 0.125
# A few real recordings of the phrase are worth many windows, but not more than all synthetic ones.
_RECORDING_COPIES: Final = 40
# Of the windows of other speech: cropped anywhere, the end of an utterance, a lone word.
_SPEECH_FORMS: Final[tuple[Form, ...]] = ("running", "running", "ending", "piece")
_BLOCK: Final = 64

_Block = tuple[Split, list[Plan]]


@dataclass(frozen=True, kw_only=True)
class _Kit:
    """All that a process needs to render any window."""

    clips: Path
    corpus: Path
    phrase: str
    seed: int
    settings: Augment

    def renderers(self) -> dict[Split, WindowRenderer]:
        """A renderer for each split."""
        pack, recordings = ClipPack(self.clips), load_recordings(self.corpus)
        return {
            split: WindowRenderer(
                Sources(pack, split=split, recordings=[r for r in recordings if r.split == split], phrase=self.phrase),
                split=split,
                seed=self.seed,
                n_samples=_window_samples(self.settings),
                room_share=self.settings.room_share,
                noise_share=self.settings.noise_share,
                snr_db=self.settings.snr_db,
            )
            for split in SPLITS
        }


def run(context: Context) -> None:
    """Plan the windows, render them in processes, write them in order."""
    settings = context.settings.augment
    kit = _Kit(
        clips=context.input("synthesize"),
        corpus=context.input("corpus"),
        phrase=context.settings.wakeword.phrase,
        seed=context.settings.seed,
        settings=settings,
    )
    blocks: list[_Block] = []
    left_out = 0
    for split, renderer in kit.renderers().items():
        plans, skipped = plan_windows(renderer.sources, settings, is_validation=split == "validation")
        blocks += [(split, plans[i : i + _BLOCK]) for i in range(0, len(plans), _BLOCK)]
        left_out += skipped
    if left_out:
        context.progress.say(
            f"left out {left_out} clips and recordings longer than augment.window_s, {settings.window_s:g} s"
        )

    total, done = sum(len(plans) for _, plans in blocks), 0
    forms: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    with (
        RowWriter(context.out / "windows.zarr") as store,
        (context.out / "recipes.jsonl").open("w", encoding="utf-8") as recipes,
        closing(map_in_order(_render, blocks, workers=settings.workers, start=_start, arguments=(kit,))) as rendered,
    ):
        for split in SPLITS:
            store.attributes[split] = {"pools": list(POOLS), "sample_rate_hz": SAMPLE_RATE_HZ}
        for (split, _), windows in zip(blocks, rendered, strict=True):
            _append(store, split, windows)
            recipes.writelines(json.dumps(window.recipe, ensure_ascii=False) + "\n" for window in windows)
            forms[split].update(window.plan.form for window in windows)
            done += len(windows)
            context.progress.update(done, total, unit="windows")
    summary = {"windows": forms, "left_out": left_out}
    (context.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def plan_windows(sources: Sources, settings: Augment, *, is_validation: bool) -> tuple[list[Plan], int]:
    """What windows a split gets.

    Args:
        sources: of the split.
        settings: of the stage.
        is_validation: whether to make an eighth of the negatives.

    Returns:
        The plans, and the number of clips and recordings of the phrase that are longer than a window.

    Raises:
        ConfigError: all clips of the phrase are longer than a window.
    """
    n_samples = _window_samples(settings)
    phrases, partials = sources.fitting(sources.phrases, n_samples), sources.fitting(sources.partials, n_samples)
    if not phrases:
        raise ConfigError(
            "augment.window_s is shorter than every clip of the phrase", got=settings.window_s, hint="Make it longer"
        )
    share = _VALIDATION_SHARE if is_validation else 1.0
    plans: list[Plan] = []

    def add(form: Form, **facts: Any) -> None:
        plans.append(Plan(index=len(plans), form=form, **facts))

    spoken = phrases * settings.copies
    for clip in spoken:
        add("phrase", clip=clip)
    recorded = [r for r in sources.spoken if len(trim(read_recording(r.path))) <= n_samples]
    for _ in range(min(_RECORDING_COPIES, len(spoken) // max(1, len(recorded)))):
        for recording in recorded:
            add("phrase", recording=recording)
    for clip in spoken[:: round(1.0 / _CUTS_PER_PHRASE)]:
        add("cut", clip=clip)
    for clip in partials * settings.copies:
        add("partial", clip=clip)
    speech = round(settings.negatives * share)
    for number in range(speech):
        add(_SPEECH_FORMS[number * len(_SPEECH_FORMS) // speech])
    for _ in range(round(settings.noise * share)):
        add("noise")
    had = len(sources.phrases) + len(sources.partials) + len(sources.spoken)
    return plans, had - len(phrases) - len(partials) - len(recorded)


def _window_samples(settings: Augment) -> int:
    return round(settings.window_s * SAMPLE_RATE_HZ)


def _append(store: RowWriter, split: Split, windows: list[Window]) -> None:
    """Write one block of rows."""
    pools = np.array([window.plan.pool for window in windows], np.int8)
    store.append(f"{split}/audio", np.stack([window.audio for window in windows]))
    store.append(f"{split}/pool", pools)
    store.append(f"{split}/label", (pools == POOLS.index("positive")).astype(np.int8))
    store.append(f"{split}/word_start", np.array([window.word_start for window in windows], np.int32))
    store.append(f"{split}/word_end", np.array([window.word_end for window in windows], np.int32))
    store.append(f"{split}/clip", np.array([window.clip for window in windows], np.int32))


_renderers: dict[Split, WindowRenderer] = {}


def _start(kit: _Kit) -> None:
    _renderers.update(kit.renderers())


def _render(block: _Block) -> list[Window]:
    split, plans = block
    return [_renderers[split].render(plan) for plan in plans]
