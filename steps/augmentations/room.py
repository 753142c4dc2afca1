"""A voice in a room: through an impulse response, simulated or recorded. The direct sound stays where it was.

Only voices go through it, before anything is added: noise has its own rooms in it, or none.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import fft

from steps.decibels import Audio
from steps.recordings import read_recording
from steps.rooms import LEAD_SAMPLES, RESPONSE_SAMPLES
from steps.scene import Scene

__all__ = ["apply", "convolve", "direct_first", "draw", "tell"]

_RECORDED_SHARE: Final = 0.5


def draw(rng: np.random.Generator, scene: Scene) -> dict[str, Any]:
    """Parameters: those of `steps.rooms.draw_room`, or the path of a recorded response, ``recording``."""
    recorded = scene.sources.recordings("rir")
    if recorded and rng.random() < _RECORDED_SHARE:
        return {"recording": recorded[int(rng.integers(len(recorded)))].path}
    return scene.rooms.draw(rng)


def apply(audio: Audio, scene: Scene, *, recording: str = "", **room: Any) -> Audio:
    """What a microphone in the room hears; the direct sound has the level and the place of the input."""
    if recording:
        return convolve(audio, direct_first(read_recording(recording)), lead=0)
    return convolve(audio, scene.rooms.response(room), lead=LEAD_SAMPLES)


def tell(*, recording: str = "", **room: Any) -> str:
    """In words."""
    if recording:
        return f"in the room of {recording}"
    distance_m = float(np.linalg.norm(np.subtract(room["source_m"], room["microphone_m"])))
    size = " x ".join(f"{side:.1f}" for side in room["size_m"])
    return f"{distance_m:.1f} m away in a room of {size} m that rings for {room['rt60_s']:.2f} s"


def convolve(audio: Audio, response: Audio, *, lead: int) -> Audio:
    """Audio ``[n]`` through an impulse response whose direct sound is its sample ``lead``, ``[n]``."""
    # One length for all responses: the plan of the transform is then made once.
    size = fft.next_fast_len(len(audio) + max(len(response), RESPONSE_SAMPLES), real=True)
    product = fft.rfft(audio, size) * fft.rfft(response, size)
    return np.asarray(fft.irfft(product, size)[lead : lead + len(audio)], np.float32)


def direct_first(response: Audio) -> Audio:
    """A measured impulse response from its direct sound on, which gets the level 1 (its sign is kept)."""
    start = int(np.abs(response).argmax())
    return response[start:] / np.float32(max(abs(float(response[start])), 1e-9))
