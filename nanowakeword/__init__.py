"""The runtime: a wake word from numpy and onnxruntime.

    from nanowakeword import NanoInterpreter

    interpreter = NanoInterpreter.load_model("hey_nano.onnx")
    result = interpreter.predict(chunk)         # int16, 16 kHz, mono, any length

Names are imported when they are first used, so that `nanowakeword.errors` alone does not load onnxruntime.
ONNX Runtime's telemetry is off, unless ``ORT_DISABLE_TELEMETRY`` was set to something else before.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final

from nanowakeword.version import __version__

# It begins when onnxruntime is imported; switching it off later comes too late. A microphone reports to nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from nanowakeword.audio import read_audio
    from nanowakeword.card import ModelCard
    from nanowakeword.errors import NanoWakewordError
    from nanowakeword.graph import Graph
    from nanowakeword.interpreter import NanoInterpreter
    from nanowakeword.remote import RemoteStream
    from nanowakeword.results import Detection, DetectionResult
    from nanowakeword.stream import DetectionStream

__all__ = [
    "Detection",
    "DetectionResult",
    "DetectionStream",
    "Graph",
    "ModelCard",
    "NanoInterpreter",
    "NanoWakewordError",
    "RemoteStream",
    "__version__",
    "read_audio",
]

_HOMES: Final = {
    "Detection": "nanowakeword.results",
    "DetectionResult": "nanowakeword.results",
    "DetectionStream": "nanowakeword.stream",
    "Graph": "nanowakeword.graph",
    "ModelCard": "nanowakeword.card",
    "NanoInterpreter": "nanowakeword.interpreter",
    "NanoWakewordError": "nanowakeword.errors",
    "RemoteStream": "nanowakeword.remote",
    "read_audio": "nanowakeword.audio",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nanowakeword' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
