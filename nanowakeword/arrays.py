"""Names for the arrays that go through the runtime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Samples"]

Samples = npt.NDArray[np.int16]
"""Audio, 16 kHz mono, int16."""
Floats = npt.NDArray[np.float32]
"""Scores, states or features, float32."""
