"""The augmentations. To add one: a file beside this one, and a row here.

Each file has two functions. ``draw(rng)`` chooses parameters, which are plain values for a recipe that people read;
``apply(audio, rng, **parameters)`` carries them out on float32 audio at 16 kHz, full scale 1. Neither keeps anything:
equal arguments and an equal generator give equal samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from steps.augmentations import codec, eq, gate, level, noise, room, speed, take
from steps.decibels import Audio

__all__ = ["AUGMENTATIONS", "Augmentation"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A row of the table.

    Attributes:
        draw: from a generator to parameters.
        apply: from audio ``[n]``, a generator and the parameters to audio; the input is left as it is.
        keeps_time: whether every sample stays at its place; if not, the length changes.
    """

    draw: Callable[..., dict[str, Any]]
    apply: Callable[..., Audio]
    keeps_time: bool = True


AUGMENTATIONS: Final[dict[str, Augmentation]] = {
    "speed": Augmentation(draw=speed.draw, apply=speed.apply, keeps_time=False),
    "room": Augmentation(draw=room.draw, apply=room.apply),
    "noise": Augmentation(draw=noise.draw, apply=noise.apply),
    "eq": Augmentation(draw=eq.draw, apply=eq.apply),
    "gate": Augmentation(draw=gate.draw, apply=gate.apply),
    "level": Augmentation(draw=level.draw, apply=level.apply),
    "take": Augmentation(draw=take.draw, apply=take.apply),
    "codec": Augmentation(draw=codec.draw, apply=codec.apply),
}
