"""The one clock of the product: 16 kHz mono audio, a score every 80 ms."""

from __future__ import annotations

from typing import Final

SAMPLE_RATE_HZ: Final = 16_000
HOP_SAMPLES: Final = 1_280
HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE_HZ

__all__ = ["HOP_S", "HOP_SAMPLES", "SAMPLE_RATE_HZ"]
