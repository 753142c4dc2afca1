"""From an engine's raw speech to a clip: 16 kHz, silence cut off, one level; or nothing, if it is no such text."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["finish_clip"]

_FLOOR_DB: Final = -42.0  # below the loudest frame; weak final consonants lie above it
_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_MARGIN_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 100
_PEAK: Final = 16_384.0  # -6 dBFS; levels are the business of augmentation
_SILENT: Final = 1e-3
# What a text of so many letters may take at normal speed, seconds: far outside what people and sound engines need.
_SHORTEST_S_PER_LETTER: Final = 0.025
_LONGEST_S, _LONGEST_S_PER_LETTER = 0.7, 0.17


def finish_clip(
    samples: npt.NDArray[np.float32], *, sample_rate_hz: int, text: str, speed: float
) -> npt.NDArray[np.int16] | None:
    """Resample, trim and scale one clip.

    Args:
        samples: [n_samples], full scale 1.
        sample_rate_hz: of ``samples``.
        text: what was asked for.
        speed: at which rate it was asked for.

    Returns:
        int16 [n_samples] at 16 kHz, peak -6 dBFS, 30 ms of margin around what is louder than -42 dB below the loudest
        10 ms; None if it is silent, not finite, or too short or too long to be the text.
    """
    import soxr

    if not len(samples) or not np.isfinite(samples).all():
        return None
    audio = np.asarray(soxr.resample(samples, sample_rate_hz, SAMPLE_RATE_HZ), np.float32)
    n_frames = len(audio) // _FRAME_SAMPLES
    if n_frames == 0 or np.abs(audio).max() < _SILENT:
        return None
    frames = audio[: n_frames * _FRAME_SAMPLES].reshape(n_frames, _FRAME_SAMPLES)
    energy = np.square(frames, dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10.0 ** (_FLOOR_DB / 10.0))
    start = max(0, int(loud[0]) * _FRAME_SAMPLES - _MARGIN_SAMPLES)
    end = min(len(audio), (int(loud[-1]) + 1) * _FRAME_SAMPLES + _MARGIN_SAMPLES)
    seconds = (end - start) / SAMPLE_RATE_HZ
    letters = sum(c.isalpha() for c in text)
    if not _SHORTEST_S_PER_LETTER * letters <= seconds * speed <= _LONGEST_S + _LONGEST_S_PER_LETTER * letters:
        return None
    word = audio[start:end]
    scaled: npt.NDArray[np.int16] = np.rint(word * (_PEAK / np.abs(word).max())).astype(np.int16)
    return scaled
