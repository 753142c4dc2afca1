"""Babble: several people who talk at once, under each clip at a set signal-to-noise ratio."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.arrays import Floats, Samples
from nanowakeword.errors import AudioError
from nanowakeword.evaluation.recordings import Recording
from nanowakeword.evaluation.streams import Joined
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["Babble", "active_rms"]

_TALKERS: Final = 6
_TALKER_S: Final = 60.0
_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50  # 20 ms
_ACTIVE_RANGE_DB: Final = 20.0
_SILENT_RMS: Final = 10.0  # recordings below it, -70 dBFS, have nothing to say
_FULL_SCALE: Final = 32_767.0


class Babble:
    """Talkers made of recordings of speech, each at the same level.

    Args:
        speech: recordings to take voices from; a part of them, drawn by the seed, is read.
        snr_db: level of a clip's active part above the babble, in decibels.
        seed: of the choice of recordings and of where the talkers begin.

    Attributes:
        name: what reports call this condition.

    Raises:
        AudioError: not one recording could be used.
    """

    def __init__(self, speech: Sequence[Recording], *, snr_db: float, seed: int) -> None:
        self.snr_db = snr_db
        self.name = f"babble {snr_db:g} dB"
        self._seed = seed
        order = np.random.default_rng([seed, 0xBAB]).permutation(len(speech))
        self._talkers = _make_talkers([speech[index] for index in order])

    def mix(self, joined: Joined) -> Joined:
        """Put babble under every recording of a stream, from the middle of the gap before it to that of the next."""
        rng = np.random.default_rng([self._seed, joined.number])
        n_samples = len(joined.audio)
        babble = np.zeros(n_samples, np.float32)
        for talker in self._talkers:
            start = int(rng.integers(len(talker)))
            babble += np.resize(np.roll(talker, -start), n_samples)
        mixed = joined.audio.astype(np.float32)
        places = joined.placements
        borders = [0, *((a.stop + b.start) // 2 for a, b in itertools.pairwise(places)), n_samples]
        for place, (start, stop) in zip(places, itertools.pairwise(borders), strict=True):
            level = active_rms(joined.audio[place.start : place.stop])
            noise = float(np.sqrt(np.mean(np.square(babble[place.start : place.stop]))))
            if noise > 0.0:
                mixed[start:stop] += babble[start:stop] * np.float32(level / noise / 10 ** (self.snr_db / 20))
            # Turned down rather than clipped: distortion is another experiment.
            mixed[start:stop] *= min(1.0, _FULL_SCALE / max(float(np.abs(mixed[start:stop]).max()), 1.0))
        audio: Samples = np.rint(mixed).astype(np.int16)
        return Joined(number=joined.number, audio=audio, placements=places)


def active_rms(samples: Samples) -> float:
    """Level of what is said, without the silence around it: rms of the 20 ms frames within 20 dB of the loudest."""
    frames = _frame_powers(samples)
    loudest = float(frames.max())
    return float(np.sqrt(frames[frames >= loudest / 10 ** (_ACTIVE_RANGE_DB / 10)].mean()))


def _frame_powers(samples: Samples) -> npt.NDArray[np.float64]:
    whole = len(samples) - len(samples) % _FRAME_SAMPLES
    if not whole:
        return np.array([np.mean(np.square(samples.astype(np.float64)))])
    powers: npt.NDArray[np.float64] = np.square(samples[:whole].astype(np.float64)).reshape(-1, _FRAME_SAMPLES).mean(1)
    return powers


def _make_talkers(speech: Sequence[Recording]) -> list[Floats]:
    """Tracks float32 ``[n]`` of recordings one after the other, each brought to the same level, dealt out in turn."""
    pieces: list[Floats] = []
    seconds = 0.0
    for recording in speech:
        if seconds >= _TALKERS * _TALKER_S:
            break
        try:
            samples = recording.read()[: round(_TALKER_S * SAMPLE_RATE_HZ)]
        except AudioError:
            continue  # named where all recordings are scored
        if (level := active_rms(samples)) > _SILENT_RMS:
            pieces.append(samples.astype(np.float32) / np.float32(level))
            seconds += len(samples) / SAMPLE_RATE_HZ
    if not pieces:
        raise AudioError("no speech for babble", got=f"{len(speech)} recordings, all unreadable or silent")
    return [np.concatenate(pieces[number::_TALKERS]) for number in range(min(_TALKERS, len(pieces)))]
