"""Measures one peer, with the Python of the peers' environment: peer_worker.py PEER GRAPHS SECONDS.

Each is run as its own documentation does, fed 1,280 samples a call, on one thread. The lean loop is the least that one
can do with openWakeWord's three graphs: each called once per 80 ms on arrays that are moved in place.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.commands.bench import Listener, measure

_MEL, _EMBEDDING, _WORD = "melspectrogram.onnx", "embedding_model.onnx", "alexa_v0.1.onnx"


def load_micro(graphs: Path) -> Listener:  # noqa: ARG001  # its own are in its wheel
    """The package pymicro-wakeword: a front end in C and an int8 TensorFlow Lite model."""
    package = importlib.import_module("pymicro_wakeword")
    model = package.MicroWakeWord.from_builtin(package.Model.ALEXA)
    features = package.MicroWakeWordFeatures()

    def hear(hop: Samples) -> None:
        for frame in features.process_streaming(hop.tobytes()):
            model.process_streaming(frame)

    def reset() -> None:
        features.reset()
        model.reset()

    return Listener(hear, reset)


def load_openwakeword(graphs: Path) -> Listener:
    """The package openwakeword with its ONNX models."""
    model = importlib.import_module("openwakeword").Model(
        wakeword_models=[str(graphs / _WORD)],
        inference_framework="onnx",
        melspec_model_path=str(graphs / _MEL),
        embedding_model_path=str(graphs / _EMBEDDING),
    )
    return Listener(model.predict, model.reset)


def load_lean(graphs: Path) -> Listener:
    """OpenWakeWord's graphs without its package."""
    mel, embedding, word = (_session(graphs / name) for name in (_MEL, _EMBEDDING, _WORD))
    word_input = word.get_inputs()[0].name
    audio = np.zeros((1, 1760), np.float32)  # a hop, and what the windows of its first frames reach back
    frames = np.zeros((1, 76, 32, 1), np.float32)
    features = np.zeros((1, 16, 96), np.float32)

    def hear(hop: Samples) -> None:
        audio[0, :480] = audio[0, 1280:]
        audio[0, 480:] = hop
        frames[0, :68] = frames[0, 8:]
        frames[0, 68:, :, 0] = mel.run(None, {"input": audio})[0][0, 0] / 10 + 2
        features[0, :15] = features[0, 1:]
        features[0, 15] = embedding.run(None, {"input_1": frames})[0][0, 0, 0]
        word.run(None, {word_input: features})

    def reset() -> None:
        for array in (audio, frames, features):
            array.fill(0.0)

    return Listener(hear, reset)


def _session(path: Path) -> Any:
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


LOADERS: Final[dict[str, tuple[str, Callable[[Path], Listener]]]] = {
    "micro": ("pymicro_wakeword", load_micro),
    "openwakeword": ("openwakeword", load_openwakeword),
    "lean": ("onnxruntime", load_lean),
}


def main() -> None:
    """Measure and print."""
    peer, graphs, seconds = sys.argv[1:]
    package, load = LOADERS[peer]
    cost = measure(lambda: importlib.import_module(package), lambda: load(Path(graphs)), seconds=float(seconds))
    print(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main()
