"""Impulse responses of random rooms, simulated by pyroomacoustics, and a bank of them.

A box with walls that absorb treble more than bass, in air: image sources up to the third order (Allen and Berkley,
"Image method for efficiently simulating small-room acoustics", 1979), later reflections by ray tracing, in octave bands
(Scheibler, Bezzam and Dokmanic, "Pyroomacoustics", https://arxiv.org/abs/1710.04196). Over random rooms the decay time
is 0.97 of the one asked for, in eight of ten 0.80 to 1.07 (benchmarks/augment.py --rooms); image sources alone ring a
fifth too long, image sources with a tail of decaying noise a fifth too short.

A response takes 0.1 s, far longer than the rest of a window, so a bank is simulated once and windows draw from it. It
holds nothing that a room's parameters do not say: the same response comes from them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio

__all__ = ["LEAD_SAMPLES", "RESPONSE_SAMPLES", "Rooms", "draw_room", "simulate_room"]

# Fractional delays begin before the sound that they delay.
LEAD_SAMPLES: Final = 20
RESPONSE_SAMPLES: Final = round(0.75 * SAMPLE_RATE_HZ)

_RT60_S: Final = (0.12, 0.75)
_SMALLEST_M, _LARGEST_M = (2.4, 2.2, 2.2), (8.0, 6.0, 3.4)
_FROM_WALL_M: Final = 0.3
_DISTANCE_M: Final = (0.3, 4.0)
_ORDER: Final = 3
_RAYS: Final = 1_000
_EAR_M: Final = 0.5
_SPEED_OF_SOUND_M_S: Final = 343.0
# What arrives later is cut off anyway.
_LONGEST_S: Final = RESPONSE_SAMPLES / SAMPLE_RATE_HZ + _DISTANCE_M[1] / _SPEED_OF_SOUND_M_S
_BANDS_HZ: Final = (125, 250, 500, 1_000, 2_000, 4_000, 8_000)
_BASS_LONGER: Final = 1.1
_MOST_ABSORBED: Final = 0.99
_SEARCH_SAMPLES: Final = 8


class Rooms:
    """Rooms to draw from.

    Args:
        parameters: of each room in the bank. None: each draw is a new room, which takes its time to simulate.
        responses: `simulate_room` of each, float32 ``[rooms, RESPONSE_SAMPLES]``.
    """

    def __init__(
        self, parameters: Sequence[dict[str, Any]] = (), responses: npt.NDArray[np.float32] | None = None
    ) -> None:
        self._parameters = parameters
        self._responses = responses
        self._numbers = {room["seed"]: number for number, room in enumerate(parameters)}

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Parameters of some room, as those of `draw_room`."""
        if not self._parameters:
            return draw_room(rng)
        return dict(self._parameters[int(rng.integers(len(self._parameters)))])

    def response(self, parameters: dict[str, Any]) -> Audio:
        """Response of a room: from the bank if it is in there, else simulated."""
        number = self._numbers.get(parameters["seed"], -1)
        if self._responses is None or number < 0 or self._parameters[number] != parameters:
            return simulate_room(**parameters)
        banked: Audio = self._responses[number]
        return banked


def draw_room(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters: those of `simulate_room`, plain values."""
    size = rng.uniform(_SMALLEST_M, _LARGEST_M)
    microphone = rng.uniform(_FROM_WALL_M, size - _FROM_WALL_M)
    direction = rng.standard_normal(3)
    distance = float(np.exp(rng.uniform(*np.log(_DISTANCE_M))))
    source = microphone + direction * (distance / np.linalg.norm(direction))
    source = np.clip(source, _FROM_WALL_M, size - _FROM_WALL_M)
    rt60 = float(rng.uniform(*_RT60_S))
    return {
        "size_m": size.round(3).tolist(),
        "source_m": source.round(3).tolist(),
        "microphone_m": microphone.round(3).tolist(),
        "rt60_s": round(rt60, 4),
        "treble_rt60_s": round(rt60 * float(rng.uniform(0.4, 0.9)), 4),
        "seed": int(rng.integers(2**31)),
    }


def simulate_room(
    *,
    size_m: list[float],
    source_m: list[float],
    microphone_m: list[float],
    rt60_s: float,
    treble_rt60_s: float,
    seed: int,
) -> Audio:
    """Impulse response float32 ``[RESPONSE_SAMPLES]``; the direct sound, of level 1, is its sample `LEAD_SAMPLES`.

    Args:
        size_m: of the box.
        source_m: where the voice is.
        microphone_m: where it is heard.
        rt60_s: time in which sound of 1 kHz falls by 60 dB; in the bass it takes a tenth longer.
        treble_rt60_s: likewise at 8 kHz.
        seed: of the rays and of the tail's echoes.
    """
    import pyroomacoustics  # slow to import

    size = np.array(size_m)
    times_s = np.interp(
        np.log2(_BANDS_HZ), np.log2([125, 1_000, 8_000]), [_BASS_LONGER * rt60_s, rt60_s, treble_rt60_s]
    )
    # Eyring: the share of energy that walls take so that the sound decays in time.
    volume_m3 = float(size.prod())
    surface_m2 = 2.0 * volume_m3 * float((1.0 / size).sum())
    decay = 24.0 * np.log(10.0) * volume_m3 / (_SPEED_OF_SOUND_M_S * surface_m2 * times_s)
    absorbed = np.minimum(1.0 - np.exp(-decay), _MOST_ABSORBED)

    pyroomacoustics.random.seed(seed)
    # Sums of several threads come in another order, and would be other bytes.
    pyroomacoustics.constants.set("num_threads", 1)
    box = pyroomacoustics.ShoeBox(
        size,
        fs=SAMPLE_RATE_HZ,
        materials=pyroomacoustics.Material(
            {"description": "walls", "coeffs": absorbed.tolist(), "center_freqs": list(_BANDS_HZ)}
        ),
        max_order=_ORDER,
        air_absorption=True,
        ray_tracing=True,
    )
    box.set_ray_tracing(n_rays=_RAYS, receiver_radius=_EAR_M, time_thres=_LONGEST_S)
    box.add_source(source_m)
    box.add_microphone(microphone_m)
    box.compute_rir()
    whole = np.asarray(box.rir[0][0], np.float32)

    distance_m = float(np.linalg.norm(np.subtract(source_m, microphone_m)))
    lag = pyroomacoustics.constants.get("frac_delay_length") // 2
    near = round(distance_m / _SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) + lag
    first = near - _SEARCH_SAMPLES
    direct = first + int(np.abs(whole[first : near + _SEARCH_SAMPLES]).argmax())
    heard = whole[direct - LEAD_SAMPLES : direct - LEAD_SAMPLES + RESPONSE_SAMPLES]
    response = np.zeros(RESPONSE_SAMPLES, np.float32)
    response[: len(heard)] = heard / abs(whole[direct])
    return response
