"""Voice activity detection: what decides, before any model, whether there is something to listen to."""

from nanowakeword.vad.table import VADS, build_vad

__all__ = ["VADS", "build_vad"]
