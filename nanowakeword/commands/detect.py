"""``nanowakeword detect M.onnx FILE...``: what a model hears in recordings."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from nanowakeword.audio import read_audio
from nanowakeword.errors import AudioError
from nanowakeword.graph import Graph
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["detect_files"]

# Silence after a recording's end, in which a phrase that ends with it may still be heard.
_TAIL_S: Final = 0.5


def detect_files(model: Path, files: Sequence[Path], *, threshold: float | None, as_json: bool) -> int:
    """Print the detections in each file, as text or as one JSON object per line.

    A file that cannot be read is named on standard error, and the others are still done.

    Returns:
        Number of files that could not be read.

    Raises:
        ModelError: the model cannot be loaded.
        ConfigError: the threshold is out of range.
        DependencyError: a file needs an optional package that is not installed.
    """
    stream = DetectionStream(Graph.load(model), threshold=threshold)
    failed = 0
    for file in files:
        try:
            samples = read_audio(file)
        except AudioError as error:
            print(f"nanowakeword: {error}", file=sys.stderr)
            failed += 1
            continue
        stream.reset()
        detections = stream.feed(np.concatenate([samples, np.zeros(round(_TAIL_S * SAMPLE_RATE_HZ), np.int16)]))
        top = float(stream.scores.max())
        detections += stream.flush()
        top = max(top, float(stream.scores.max(initial=0.0)))
        seconds = len(samples) / SAMPLE_RATE_HZ
        print(_to_json(file, seconds, top, detections) if as_json else _to_text(file, top, detections), flush=True)
    return failed


def _to_json(file: Path, seconds: float, top: float, detections: Sequence[Detection]) -> str:
    facts = {
        "file": str(file),
        "seconds": seconds,
        "highest_score": top,
        "detections": [asdict(detection) for detection in detections],
    }
    return json.dumps(facts, ensure_ascii=False)


def _to_text(file: Path, top: float, detections: Sequence[Detection]) -> str:
    if not detections:
        return f"{file}: nothing heard, highest score {top:.3f}"
    return "\n".join(f"{file}: {item.end_s:.2f} s  {item.phrase}  {item.score:.3f}" for item in detections)
