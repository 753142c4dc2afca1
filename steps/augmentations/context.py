"""Other speech before and after the word, as loud as it or nearly so."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from steps.decibels import Audio, active_rms, gain
from steps.scene import Scene
from steps.splicing import add_at, draw_gap

__all__ = ["apply", "draw", "tell"]

# Among windows that have any. Of all windows 40 % have some before and 30 % some after, each by itself, where the share
# of this augmentation is 58 %.
_PLACES: Final = ("before", "after", "both")
_SHARES: Final = (0.28 / 0.58, 0.18 / 0.58, 0.12 / 0.58)
_SAME_VOICE_SHARE: Final = 0.5
_LOUDER_DB: Final = 3.0


def draw(rng: np.random.Generator, scene: Scene) -> dict[str, Any]:
    """Parameters: ``speech``, clips with their ``start`` in the window and ``louder_db`` than the word."""
    place = str(rng.choice(_PLACES, p=_SHARES))
    speech = []
    for side in ("before", "after"):
        if place not in {side, "both"}:
            continue
        clip = scene.sources.other_clip(rng, like=scene.clip if rng.random() < _SAME_VOICE_SHARE else -1)
        gap, louder_db = draw_gap(rng), round(float(rng.normal(0.0, _LOUDER_DB)), 2)
        length = scene.sources.clip_samples(clip)
        start = scene.word_start - gap - length if side == "before" else scene.word_end + gap
        if start < scene.n_samples and start + length > 0:
            speech.append({"clip": clip, "start": start, "louder_db": louder_db})
    return {"speech": speech}


def apply(audio: Audio, scene: Scene, *, speech: list[dict[str, Any]]) -> Audio:
    """Add the clips to audio ``[n]`` that holds the word alone."""
    level = active_rms(audio)
    added = audio.copy()
    for clip in speech:
        sound = scene.sources.clip_audio(clip["clip"])
        louder = level * gain(clip["louder_db"]) / max(active_rms(sound), 1e-6)
        add_at(added, sound * np.float32(louder), start=clip["start"])
    return added


def tell(*, speech: list[dict[str, Any]]) -> str:
    """In words."""
    clips = ", ".join(f"clip {clip['clip']}" for clip in speech)
    return f"beside other speech ({clips})" if clips else "beside other speech, too far away to be heard"
