"""Mel power spectrum of a stream: 25 ms Hann frames every 10 ms, the newest sample at the end of the last frame.

The three front ends share it. What it does about cost, at eight frames a hop: the window is folded into the cosines and
sines, so that the transform is one matrix product; bins that no band uses are left out; squares of real and imaginary
parts are added by the product with the bands, which are stacked twice.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["FRAMES_PER_HOP", "FRAME_SAMPLES", "WINDOW_POWER", "WINDOW_SAMPLES", "Mel", "windowed_fourier"]

FRAME_SAMPLES: Final = 160
FRAMES_PER_HOP: Final = 8
# The periodic Hann window of 400 samples begins with a zero.
WINDOW_SAMPLES: Final = 399
WINDOW_POWER: Final = 150.0  # sum of its squares, 3/8 of 400
_SPAN: Final = 400
_SKIPPED: Final = 3 * FRAME_SAMPLES - _SPAN


def windowed_fourier() -> Tensor:
    """Cosines and sines of a 400-point transform times the Hann window, ``[2, 400, 201]`` in double precision."""
    samples = torch.arange(_SPAN, dtype=torch.float64)
    phase = (2.0 * math.pi / _SPAN) * samples[:, None] * samples[: _SPAN // 2 + 1]
    window = 0.5 - 0.5 * torch.cos(2.0 * math.pi / _SPAN * samples)
    return torch.stack([phase.cos(), phase.sin()]) * window[:, None]


class Mel(nn.Module):
    """Audio to mel power.

    Args:
        waves: ``[2, 400, n]``, cosines and sines of each bin's frequency times the window.
        bands: ``[n, f]``, weights of the bins.
    """

    # Two whole frame steps; the window needs a step and a half, and whole rows of 160 need no copying about.
    state_size: Final = 2 * FRAME_SAMPLES

    def __init__(self, waves: Tensor, bands: Tensor) -> None:
        super().__init__()
        used = bands.any(dim=1)
        self.waves: Tensor
        self.bands: Tensor
        self.register_buffer("waves", torch.cat([*waves[:, :, used]], dim=1).float())  # [400, 2n]
        self.register_buffer("bands", bands[used].repeat(2, 1).float())  # [2n, f]

    def forward(self, audio: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Audio ``[b, 1280*k]``, the 320 samples before it -> power ``[b, 8*k, f]``, the last 320 samples."""
        audio = torch.cat([past, audio], dim=1)
        rows = audio.reshape(audio.shape[0], -1, FRAME_SAMPLES)  # [b, 8k+2, 160]
        frames = torch.cat([rows[:, :-2, _SKIPPED:], rows[:, 1:-1], rows[:, 2:]], dim=2)  # [b, 8k, 400]
        spectrum = frames @ self.waves
        return (spectrum * spectrum) @ self.bands, audio[:, -self.state_size :]
