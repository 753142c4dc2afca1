"""A longer or shorter vocal tract: the formants move, pitch and tempo stay.

Vocal tract length perturbation (Jaitly and Hinton, "Vocal Tract Length Perturbation (VTLP) improves speech
recognition", 2013) stretches the frequency axis. To leave the pitch alone only the envelope is stretched, as the
cepstrum gives it (Oppenheim, "Speech analysis-synthesis system based on homomorphic filtering", 1969): each frame of a
short-time transform is multiplied by the ratio of the stretched envelope to its own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import fft

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio
from steps.scene import Scene

__all__ = ["apply", "draw", "tell", "warp"]

# Jaitly and Hinton draw from 0.9 to 1.1; men and children are about 20 % apart from women.
_LOG_RANGE: Final = 0.12
_SIZE: Final = 512
_HOP: Final = _SIZE // 4
# Quefrencies up to 2 ms: formants are below, the pitch of a high voice is above.
_ENVELOPE_QUEFRENCIES: Final = round(0.002 * SAMPLE_RATE_HZ)
_FLOOR: Final = 1e-5
_MOST: Final = np.log(10.0)  # 20 dB, so that nothing is brought up out of nothing
_WINDOW: Final = np.hanning(_SIZE + 1)[:-1].astype(np.float32)
# Squared and overlapped by three quarters, Hann windows add up to 3/2.
_OVERLAPPED: Final = np.float32(1.5)


def draw(rng: np.random.Generator, _: Scene) -> dict[str, Any]:
    """Parameters: ``factor`` by which formants move, 0.89 to 1.13, above 1 up, as of a smaller speaker."""
    return {"factor": round(float(np.exp(rng.uniform(-_LOG_RANGE, _LOG_RANGE))), 3)}


def apply(audio: Audio, _: Scene, *, factor: float) -> Audio:
    """Move the formants of audio ``[n]``."""
    return warp(audio, factor=factor)


def tell(*, factor: float) -> str:
    """In words."""
    return f"formants at {100 * factor:.0f} %"


def warp(audio: Audio, *, factor: float) -> Audio:
    """Audio ``[n]`` whose spectral envelope is stretched by a factor."""
    padded = np.pad(audio, (_SIZE, 2 * _SIZE))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP]  # [frames, _SIZE]
    spectra = fft.rfft(frames * _WINDOW)  # [frames, _SIZE / 2 + 1]
    changed = fft.irfft(spectra * _gains(spectra, factor=factor), _SIZE) * _WINDOW
    total = np.zeros(len(padded), np.float32)
    for start, frame in zip(range(0, len(padded), _HOP), changed, strict=False):
        total[start : start + _SIZE] += frame
    return np.asarray(total[_SIZE : _SIZE + len(audio)] / _OVERLAPPED, np.float32)


def _gains(spectra: npt.NDArray[np.complex64], *, factor: float) -> npt.NDArray[np.float32]:
    """Stretched envelope over the envelope, of each frame and bin."""
    magnitudes = np.abs(spectra)
    cepstra = fft.irfft(np.log(magnitudes + _FLOOR * max(float(magnitudes.max()), _FLOOR)), _SIZE)
    cepstra[:, _ENVELOPE_QUEFRENCIES + 1 : -_ENVELOPE_QUEFRENCIES] = 0.0
    envelopes = fft.rfft(cepstra).real
    # The envelope at a bin becomes that of the bin divided by the factor; above the last it goes on as it ended.
    bins = np.minimum(np.arange(envelopes.shape[1]) / factor, envelopes.shape[1] - 1.0)
    below = np.minimum(bins.astype(np.int64), envelopes.shape[1] - 2)
    share = (bins - below).astype(np.float32)
    stretched = envelopes[:, below] * (1.0 - share) + envelopes[:, below + 1] * share
    return np.asarray(np.exp(np.clip(stretched - envelopes, -_MOST, _MOST)), np.float32)
