"""A voice in a room: early reflections of a box, then a diffuse tail. The direct sound stays where it was.

Early part: image sources, Allen and Berkley, "Image method for efficiently simulating small-room acoustics", 1979.
Tail: decaying Gaussian noise (Polack, 1988) with the energy that the images would have had: ``4 pi c / V`` a second for
sources of energy ``1 / distance**2``, falling by 60 dB in the reverberation time. High frequencies decay faster.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio

__all__ = ["apply", "convolve", "direct_first", "draw"]

_SPEED_OF_SOUND_M_S: Final = 343.0
_RT60_S: Final = (0.12, 0.75)
_SMALLEST_M, _LARGEST_M = (2.4, 2.2, 2.2), (8.0, 6.0, 3.4)
_FROM_WALL_M: Final = 0.3
_DISTANCE_M: Final = (0.3, 4.0)
_NEAREST_M: Final = 0.1
# Images are complete up to about this many times the shortest side; from there on the tail takes over.
_EARLY_SIDES: Final = 3.0
_ORDER: Final = 2
_RESPONSE_SAMPLES: Final = round(_RT60_S[1] * SAMPLE_RATE_HZ)
# Averages over so many samples keep what is below about 1.4 kHz.
_BASS_SAMPLES: Final = 5
_LN_60_DB: Final = 6.0 * np.log(10.0)


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters: ``size_m``, ``source_m``, ``microphone_m`` (each x, y, z), ``rt60_s`` and ``treble_rt60_s``."""
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
    }


def apply(
    audio: Audio,
    rng: np.random.Generator,
    *,
    size_m: list[float],
    source_m: list[float],
    microphone_m: list[float],
    rt60_s: float,
    treble_rt60_s: float,
) -> Audio:
    """What a microphone in the room hears; the direct sound has the level and the place of the input."""
    size, source, microphone = np.array(size_m), np.array(source_m), np.array(microphone_m)
    volume_m3 = float(size.prod())
    surface_m2 = 2.0 * volume_m3 * float((1.0 / size).sum())
    # Eyring: the share of energy that a wall returns.
    returned = float(np.exp(-_LN_60_DB * 4.0 * volume_m3 / (_SPEED_OF_SOUND_M_S * surface_m2 * rt60_s)))
    distances, energies = _images(size, source, microphone, returned=returned)
    direct_m = float(distances.min())

    early = distances < max(_EARLY_SIDES * float(size.min()), 1.5 * direct_m)
    delays = np.rint((distances[early] - direct_m) / _SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ).astype(np.int64)
    inside = delays < _RESPONSE_SAMPLES
    response = np.bincount(
        delays[inside], np.sqrt(energies[early][inside]), minlength=_RESPONSE_SAMPLES
    )  # [_RESPONSE_SAMPLES]

    start = int(delays.max()) + 1
    seconds = direct_m / _SPEED_OF_SOUND_M_S + np.arange(start, _RESPONSE_SAMPLES) / SAMPLE_RATE_HZ
    density = np.sqrt(4.0 * np.pi * _SPEED_OF_SOUND_M_S / (volume_m3 * SAMPLE_RATE_HZ))
    diffuse = rng.standard_normal(len(seconds), dtype=np.float32) * np.float32(density)
    bass = ndimage.uniform_filter1d(diffuse, _BASS_SAMPLES)
    response[start:] += bass * np.exp(-0.5 * _LN_60_DB * seconds / rt60_s)
    response[start:] += (diffuse - bass) * np.exp(-0.5 * _LN_60_DB * seconds / treble_rt60_s)
    return convolve(audio, (response * direct_m).astype(np.float32))


def convolve(audio: Audio, response: Audio) -> Audio:
    """Audio ``[n]`` through a room's impulse response that starts with the direct sound, cut to ``[n]``."""
    # One length for all responses: the plan of the transform is then made once.
    size = fft.next_fast_len(len(audio) + max(len(response), _RESPONSE_SAMPLES), real=True)
    product = fft.rfft(audio, size) * fft.rfft(response, size)
    return np.asarray(fft.irfft(product, size)[: len(audio)], np.float32)


def direct_first(response: Audio) -> Audio:
    """A measured impulse response from its direct sound on, which gets the level 1 (its sign is kept)."""
    start = int(np.abs(response).argmax())
    return response[start:] / np.float32(max(abs(float(response[start])), 1e-9))


def _images(
    size: npt.NDArray[np.float64],
    source: npt.NDArray[np.float64],
    microphone: npt.NDArray[np.float64],
    *,
    returned: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances in metres and energies of the source's mirror images, both flat."""
    m = np.repeat(np.arange(-_ORDER, _ORDER + 1), 2)  # which copy of the room
    p = np.tile([0, 1], 2 * _ORDER + 1)  # mirrored in it or not
    bounces = np.abs(m - p) + np.abs(m)
    offsets = (1 - 2 * p)[:, None] * source + 2 * m[:, None] * size - microphone  # [images of an axis, 3]
    x, y, z = np.square(offsets).T
    distances = np.sqrt(x[:, None, None] + y[:, None] + z).ravel()
    walls = (bounces[:, None, None] + bounces[:, None] + bounces).ravel()
    distances = np.maximum(distances, _NEAREST_M)
    return distances, returned**walls / np.square(distances)
