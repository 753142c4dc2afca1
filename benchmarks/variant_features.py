"""Features of a variant: those of another, with rows left out, made anew, or added behind them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from steps.features import FeatureExtractor, store_attributes, used_front_ends
from steps.progress import Progress
from steps.recipes import Plan
from steps.rendering import Kit, WindowMaker
from steps.settings import Features, Settings
from steps.store import RowReader, RowWriter
from steps.windows import POOLS, Recipe

__all__ = ["add_phrase_windows", "make_kit", "write_features", "write_rows"]

_BLOCK: Final = 64


def make_kit(root: Path, settings: Settings) -> Kit:
    """What windows of a variant are rendered from.

    Args:
        root: of the variant whose clips, recordings and rooms they are; rooms are simulated unless they are there.
        settings: of the windows.
    """
    kit = Kit(
        clips=root / "artifacts" / "synthesize",
        corpus=root / "artifacts" / "corpus",
        rooms=root / "rooms.npy",
        phrase=settings.wakeword.phrase,
        seed=settings.seed,
        settings=settings.augment,
    )
    if not kit.rooms.is_file():
        kit.simulate_rooms(Progress("rooms"))
    return kit


@contextmanager
def write_features(root: Path) -> Iterator[RowWriter]:
    """A variant's features, written beside; they get their name when all are there."""
    folder = root / "artifacts" / "features"
    working = folder.with_name(f".{folder.name}.working")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True)
    with RowWriter(working / "features.zarr") as store:
        yield store
    working.rename(folder)


def write_rows(
    store: RowWriter,
    source: RowReader,
    split: str,
    rows: npt.NDArray[np.int64],
    anew: Mapping[int, Recipe],
    maker: WindowMaker,
    *,
    settings: Features,
) -> None:
    """Copy rows, with the features of some of them extracted from windows that are rendered anew.

    Args:
        store: to write to.
        source: the split that is copied.
        split: its name.
        rows: to copy, in this order.
        anew: recipes of those that are rendered anew, by row.
        maker: renders them.
        settings: the front ends.
    """
    store.attributes[split] = dict(source.attributes)
    for column in ("label", "pool", "clip"):
        store.append(f"{split}/{column}", source[column].rows(rows))
    fronts = used_front_ends(settings)
    extractors = {name: FeatureExtractor(row) for name, row in fronts.items()}
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        places = [place for place, row in enumerate(block) if int(row) in anew]
        windows = [maker.render(anew[int(block[place])]).audio for place in places]
        for name, extractor in extractors.items():
            features = source[name].rows(block)
            if windows:
                features[places] = extractor(np.stack(windows))
            store.append(f"{split}/{name}", features, attributes=store_attributes(fronts[name]))


def add_phrase_windows(
    store: RowWriter, plans: Sequence[Plan], clips: Sequence[int], maker: WindowMaker, *, settings: Features
) -> None:
    """Add windows of the phrase behind the training rows.

    Args:
        store: to write to; all rows of the training split that are copied are in it.
        plans: of the windows.
        clips: what each is about; -1 for a recording.
        maker: draws and renders them.
        settings: the front ends.
    """
    extractors = {name: FeatureExtractor(row) for name, row in used_front_ends(settings).items()}
    for first in range(0, len(plans), _BLOCK):
        block = plans[first : first + _BLOCK]
        windows = np.stack([maker.render(maker.draw(plan)).audio for plan in block])
        store.append("train/label", np.ones(len(block), np.int8))
        store.append("train/pool", np.full(len(block), POOLS.index("positive"), np.int8))
        store.append("train/clip", np.array(clips[first : first + _BLOCK], np.int32))
        for name, extractor in extractors.items():
            store.append(f"train/{name}", extractor(windows))
