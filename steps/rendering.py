"""What it takes to draw and render windows in any process: clips, recordings, rooms and settings."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.clippack import ClipPack
from steps.progress import Progress
from steps.recipes import Plan, RecipeDrawer
from steps.recordings import load_recordings
from steps.rooms import Rooms, draw_room, simulate_room
from steps.settings import Augment
from steps.sources import Sources
from steps.windows import SPLITS, Recipe, Split, Window, render
from steps.workers import map_in_order

__all__ = ["Kit", "WindowMaker", "load_sources"]

_ROOMS_KEY: Final = 0x5200
_ROOMS_FOR_VALIDATION: Final = 0.125


@dataclass(frozen=True, kw_only=True)
class Kit:
    """All that a process needs to make any window.

    Attributes:
        clips: folder of the stage synthesize.
        corpus: folder of the stage corpus.
        rooms: file of the rooms' responses, see `simulate_rooms`.
        phrase: what to listen for.
        seed: of all draws.
        settings: of the stage augment.
    """

    clips: Path
    corpus: Path
    rooms: Path
    phrase: str
    seed: int
    settings: Augment

    @property
    def n_samples(self) -> int:
        """Length of a window."""
        return round(self.settings.window_s * SAMPLE_RATE_HZ)

    def sources(self) -> dict[Split, Sources]:
        """Clips and recordings of each split."""
        return load_sources(clips=self.clips, corpus=self.corpus, phrase=self.phrase)

    def simulate_rooms(self, progress: Progress) -> None:
        """Write the responses of the rooms, float32 ``[rooms, samples]``; none if no window is in a room."""
        bank = self._bank() if self.settings.shares.room else []
        responses: list[npt.NDArray[np.float32]] = []
        with closing(
            map_in_order(_simulate, bank, workers=self.settings.workers, start=_prepare_nothing, arguments=())
        ) as simulated:
            for response in simulated:
                responses.append(response)
                progress.update(len(responses), len(bank), unit="rooms")
        np.save(self.rooms, np.stack(responses) if responses else np.zeros((0, 0), np.float32), allow_pickle=False)

    def makers(self) -> dict[Split, WindowMaker]:
        """What makes the windows of each split; the two share no room. `simulate_rooms` has run."""
        bank, responses = self._bank(), np.load(self.rooms, allow_pickle=False)
        border = max(1, round(len(bank) * _ROOMS_FOR_VALIDATION))
        parts = {"train": slice(border, None), "validation": slice(border)}
        return {
            split: WindowMaker(self, sources, Rooms(bank[parts[split]], responses[parts[split]]), split=split)
            for split, sources in self.sources().items()
        }

    def _bank(self) -> list[dict[str, Any]]:
        """Parameters of the rooms; those of the first ones do not depend on how many there are."""
        return [draw_room(np.random.default_rng([self.seed, _ROOMS_KEY, i])) for i in range(self.settings.rooms)]


class WindowMaker:
    """Draws and renders the windows of one split.

    Args:
        kit: of all splits.
        sources: of the split.
        rooms: likewise.
        split: one of `SPLITS`.

    Attributes:
        sources: as given.
    """

    def __init__(self, kit: Kit, sources: Sources, rooms: Rooms, *, split: Split) -> None:
        self.sources, self._rooms = sources, rooms
        self._drawer = RecipeDrawer(
            sources,
            split=split,
            seed=kit.seed,
            n_samples=kit.n_samples,
            shares=kit.settings.shares.model_dump(),
            snr_db=kit.settings.snr_db,
            rooms=rooms,
        )

    def draw(self, plan: Plan) -> Recipe:
        """The recipe of a window."""
        return self._drawer.draw(plan)

    def render(self, recipe: Recipe) -> Window:
        """The window of a recipe."""
        return render(recipe, sources=self.sources, rooms=self._rooms)


def load_sources(*, clips: Path, corpus: Path, phrase: str) -> dict[Split, Sources]:
    """Clips and recordings of each split.

    Args:
        clips: folder of the stage synthesize.
        corpus: folder of the stage corpus.
        phrase: what to listen for.
    """
    pack, recordings = ClipPack(clips), load_recordings(corpus)
    return {
        split: Sources(pack, split=split, recordings=[r for r in recordings if r.split == split], phrase=phrase)
        for split in SPLITS
    }


def _prepare_nothing() -> None:
    """A process that simulates rooms needs nothing beforehand."""


def _simulate(room: dict[str, Any]) -> npt.NDArray[np.float32]:
    return simulate_room(**room)
