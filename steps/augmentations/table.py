"""The augmentations, in the order of nature. To add one: a file beside this one, a row here, and its share in `Shares`.

Each file has three functions. ``draw(rng, scene)`` chooses parameters, which are plain values for a recipe that people
read; ``apply(audio, scene, **parameters)`` carries them out on float32 audio at 16 kHz, full scale 1;
``tell(**parameters)`` says it in words. Nothing else decides what is heard: what is random while they are carried out
comes from a seed among the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from steps.augmentations import (
    band,
    clipping,
    codec,
    context,
    eq,
    gate,
    level,
    microphone,
    noise,
    pitch,
    room,
    speed,
    take,
    tempo,
    tract,
)
from steps.decibels import Audio

__all__ = ["AUGMENTATIONS", "Augmentation"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A row of the table.

    Attributes:
        draw: from a generator and a `Scene` to parameters.
        apply: from audio ``[n]``, a `Scene` and the parameters to audio; the input is left as it is.
        tell: from the parameters to words.
        of: what it works on: the ``voice`` by itself, the ``word`` in its window, all ``speech`` in the window, or all
            ``sound``.
        length: samples that ``n`` become, from ``n`` and the parameters. None: every sample stays at its place.
    """

    draw: Callable[..., dict[str, Any]]
    apply: Callable[..., Audio]
    tell: Callable[..., str]
    of: Literal["voice", "word", "speech", "sound"]
    length: Callable[..., int] | None = None


AUGMENTATIONS: Final[dict[str, Augmentation]] = {
    "speed": Augmentation(draw=speed.draw, apply=speed.apply, tell=speed.tell, of="voice", length=speed.length),
    "tempo": Augmentation(draw=tempo.draw, apply=tempo.apply, tell=tempo.tell, of="voice", length=tempo.length),
    "pitch": Augmentation(draw=pitch.draw, apply=pitch.apply, tell=pitch.tell, of="voice"),
    "tract": Augmentation(draw=tract.draw, apply=tract.apply, tell=tract.tell, of="voice"),
    "context": Augmentation(draw=context.draw, apply=context.apply, tell=context.tell, of="word"),
    "room": Augmentation(draw=room.draw, apply=room.apply, tell=room.tell, of="speech"),
    "noise": Augmentation(draw=noise.draw, apply=noise.apply, tell=noise.tell, of="speech"),
    "eq": Augmentation(draw=eq.draw, apply=eq.apply, tell=eq.tell, of="sound"),
    "microphone": Augmentation(draw=microphone.draw, apply=microphone.apply, tell=microphone.tell, of="sound"),
    "band": Augmentation(draw=band.draw, apply=band.apply, tell=band.tell, of="sound"),
    "gate": Augmentation(draw=gate.draw, apply=gate.apply, tell=gate.tell, of="sound"),
    "clipping": Augmentation(draw=clipping.draw, apply=clipping.apply, tell=clipping.tell, of="sound"),
    "level": Augmentation(draw=level.draw, apply=level.apply, tell=level.tell, of="sound"),
    "take": Augmentation(draw=take.draw, apply=take.apply, tell=take.tell, of="sound"),
    "codec": Augmentation(draw=codec.draw, apply=codec.apply, tell=codec.tell, of="sound"),
}
