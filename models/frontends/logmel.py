"""Log-mel spectrogram, or its form with gain control (PCEN), for networks trained from scratch.

Bands are Slaney's (linear below 1 kHz, logarithmic above, equal areas), as in librosa; by default 40 of them from 60 to
7600 Hz, every 10 ms. They are scaled so that white noise of mean square p, in int16 units, gives p in each band; the
floor, by default one least significant bit of noise, -90 dBFS, is added before the logarithm. So digital silence is
exactly 0 in every band, noise as loud as the floor is 0.7, full-scale noise about 20, and a state of zeros is silence.

PCEN (Wang, Getreuer, Hughes, Lyon, Saurous 2017, https://arxiv.org/abs/1607.05666) divides each band by its own
running mean M, so that what lasts goes away and what begins stays, however far the speaker:
``(E / (floor + M)^alpha + delta)^r - delta^r``, E and M in units of the floor. The mean is that of ``smoothing.py``: it
needs no second to settle, and a stream that begins in the middle of noise begins as one that has heard it for long.
"""

from __future__ import annotations

import math
import warnings
from typing import Final

import librosa
import torch
from torch import Tensor

from models.frontends.base import FrontEndModule
from models.frontends.logmel_options import LogMelOptions
from models.frontends.mel import Mel, windowed_fourier
from models.frontends.smoothing import Smoother
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["LogMel"]

_MS: Final = SAMPLE_RATE_HZ // 1_000
_FORGOTTEN: Final = 1e-3


class LogMel(FrontEndModule):
    """Audio to log-mel frames.

    Args:
        options: bands, frames, floor, normalisation.
    """

    def __init__(self, options: LogMelOptions) -> None:
        super().__init__()
        frame_samples, span = options.hop_ms * _MS, options.window_ms * _MS
        self.n_features, self.frames_per_hop = options.bands, HOP_SAMPLES // frame_samples
        bands, points = _bands(options, span=span)
        hann_power = 3.0 / 8.0 * span
        areas = bands.sum(dim=1, keepdim=True) * hann_power * options.floor
        self.mel = Mel(windowed_fourier(span, points=points), (bands / areas).T, frame_samples=frame_samples)
        self.receptive_field_samples = span - 1  # the periodic window begins with a zero
        self.smoother, self._pcen = None, options.pcen
        s = _share_of_newest(options)
        if s is not None:
            self.smoother = Smoother(n_features=options.bands, frames_per_hop=self.frames_per_hop, s=s)
            # The mean has no end, but what is so long ago has no more weight than a thousandth.
            self.receptive_field_samples += frame_samples * math.ceil(math.log(_FORGOTTEN) / math.log1p(-s))
        self._states = [self.mel.state_size, self.smoother.state_size if self.smoother else 0]
        self.state_size = sum(self._states)

    def forward(self, audio: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]`` at int16 scale -> natural logarithms, or PCEN, ``[b, k*r, f]``."""
        past, past_mean = torch.split(state, self._states, dim=1)
        power, past = self.mel(audio, past)  # in units of the floor
        if self.smoother is None:
            return torch.log(power + 1.0), past
        # A frame below the floor says nothing of what the room is like.
        weights = power / (power + 1.0)
        x = torch.log(power + 1.0) if self._pcen is None else power
        mean, past_mean = self.smoother(x, weights, past_mean)
        if self._pcen is None:
            features = x - mean
        else:
            alpha, delta, root = self._pcen.alpha, self._pcen.delta, self._pcen.root
            features = (power * (mean + 1.0) ** -alpha + delta) ** root - delta**root
        return features, torch.cat([past, past_mean], dim=1)


def _bands(options: LogMelOptions, *, span: int) -> tuple[Tensor, int]:
    """Weights of the bins ``[f, points / 2 + 1]`` in double precision, and points enough for a bin in each band."""
    points = span
    low, high = options.low_hz, options.high_hz
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bands without a bin
            weights = librosa.filters.mel(
                sr=SAMPLE_RATE_HZ, n_fft=points, n_mels=options.bands, fmin=low, fmax=high, dtype="float64"
            )
        bands = torch.from_numpy(weights)
        if bands.any(dim=1).all():
            return bands, points
        points *= 2


def _share_of_newest(options: LogMelOptions) -> float | None:
    """``s`` of the running mean, if there is one."""
    if options.pcen is not None:
        return options.pcen.smoothing
    if options.normalisation_s is not None:
        return -math.expm1(-options.hop_ms / 1_000 / options.normalisation_s)
    return None
