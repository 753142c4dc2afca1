"""Mel power spectrum of a stream: windowed frames, the newest sample at the end of the last one.

The three front ends share it, the pretrained ones with 25 ms Hann windows every 10 ms. What it does about cost, at
eight frames a hop: the window is folded into the cosines and sines, so that the transform is one matrix product; bins
that no band uses are left out; squares of real and imaginary parts are added by the product with the bands, which are
stacked twice.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["FRAMES_PER_HOP", "FRAME_SAMPLES", "WINDOW_SAMPLES", "Mel", "windowed_fourier"]

FRAME_SAMPLES: Final = 160
FRAMES_PER_HOP: Final = 8
# The periodic Hann window of 400 samples begins with a zero.
WINDOW_SAMPLES: Final = 399


def windowed_fourier(span: int, *, points: int) -> Tensor:
    """Cosines and sines of a transform times the Hann window, ``[2, span, points / 2 + 1]`` in double precision.

    Args:
        span: samples of the periodic window.
        points: of the transform, even; more than ``span`` are zeros.
    """
    samples = torch.arange(span, dtype=torch.float64)
    phase = (2.0 * math.pi / points) * samples[:, None] * samples.new_tensor(range(points // 2 + 1))
    window = 0.5 - 0.5 * torch.cos(2.0 * math.pi / span * samples)
    return torch.stack([phase.cos(), phase.sin()]) * window[:, None]


class Mel(nn.Module):
    """Audio to mel power.

    Args:
        waves: ``[2, span, n]``, cosines and sines of each bin's frequency times a window.
        bands: ``[n, f]``, weights of the bins.
        frame_samples: from one frame to the next, fewer than ``span``.

    Attributes:
        state_size: samples of the past that are kept. Whole frame steps, though the window may need less: whole rows
            need no copying about.
    """

    def __init__(self, waves: Tensor, bands: Tensor, *, frame_samples: int = FRAME_SAMPLES) -> None:
        super().__init__()
        used = bands.any(dim=1)
        self.waves: Tensor
        self.bands: Tensor
        self.register_buffer("waves", torch.cat([*waves[:, :, used]], dim=1).float())  # [span, 2n]
        self.register_buffer("bands", bands[used].repeat(2, 1).float())  # [2n, f]
        self._rows, self._frame_samples = -(-waves.shape[1] // frame_samples), frame_samples
        self._skipped = self._rows * frame_samples - waves.shape[1]
        self.state_size = (self._rows - 1) * frame_samples

    def forward(self, audio: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]``, the ``state_size`` samples before it -> power ``[b, k*r, f]``, the last samples."""
        audio = torch.cat([past, audio], dim=1)
        rows = audio.reshape(audio.shape[0], -1, self._frame_samples)  # [b, k*r + rows - 1, frame]
        later = [rows[:, row : row - self._rows + 1] for row in range(1, self._rows - 1)]
        frames = torch.cat([rows[:, : 1 - self._rows, self._skipped :], *later, rows[:, self._rows - 1 :]], dim=2)
        spectrum = frames @ self.waves
        return (spectrum * spectrum) @ self.bands, audio[:, -self.state_size :]
