"""Log-mel spectrogram: 40 bands from 60 to 7600 Hz every 10 ms, for networks trained from scratch.

Bands are Slaney's (linear below 1 kHz, logarithmic above, equal areas), as in librosa, over a 400-point transform. They
are scaled so that white noise of mean square p, in int16 units, gives p in each band; one least significant bit of
noise, -90 dBFS, is added before the logarithm. So digital silence is exactly 0 in every band, noise of 1 LSB is 0.7,
full-scale noise about 20, and a state of zeros is silence.
"""

from __future__ import annotations

from typing import Final

import librosa
import torch
from torch import Tensor

from models.frontends.base import FrontEndModule
from models.frontends.mel import FRAMES_PER_HOP, WINDOW_POWER, WINDOW_SAMPLES, Mel, windowed_fourier
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["LogMel"]

_BANDS: Final = 40
_LOW_HZ: Final = 60.0
_HIGH_HZ: Final = 7600.0
_DFT_POINTS: Final = 400
_FLOOR: Final = 1.0


class LogMel(FrontEndModule):
    """Audio to log-mel frames."""

    n_features = _BANDS
    frames_per_hop = FRAMES_PER_HOP
    state_size = Mel.state_size
    receptive_field_samples = WINDOW_SAMPLES

    def __init__(self) -> None:
        super().__init__()
        bands = librosa.filters.mel(
            sr=SAMPLE_RATE_HZ, n_fft=_DFT_POINTS, n_mels=_BANDS, fmin=_LOW_HZ, fmax=_HIGH_HZ, dtype="float64"
        )
        areas = bands.sum(axis=1, keepdims=True) * WINDOW_POWER
        self.mel = Mel(windowed_fourier(), torch.from_numpy(bands / areas).T)

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]`` at int16 scale -> natural logarithms ``[b, 8*k, 40]``."""
        power, state = self.mel(audio, state)
        return torch.log(power + _FLOOR), state
