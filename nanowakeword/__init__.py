"""The runtime: a wake word from numpy and onnxruntime."""

from __future__ import annotations

__version__ = "0.1.0"
