"""``nanowakeword detect M.onnx FILE...``: what a model hears in recordings."""

from __future__ import annotations

import argparse
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
from nanowakeword.operating_point import resolve_threshold
from nanowakeword.results import Detection
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["add_arguments", "detect_files", "run"]

# Silence after a recording's end, in which a phrase that ends with it may still be heard.
_TAIL_S: Final = 0.5
_EXAMPLES: Final = """\
examples:
  nanowakeword detect hey_nano.onnx kitchen.wav          times, phrase and score of what is heard
  nanowakeword detect hey_nano.onnx --budget 0.1/h *.wav stricter: the card's threshold for one false accept in 10 h
  nanowakeword detect hey_nano.onnx --json day.flac      one JSON object per file
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Print what a model hears in recordings: file, seconds from its start, phrase, score. A recording that cannot\n"
        "be read is named, the others are done, and the exit status is 1."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("model", metavar="M.onnx", type=Path, help="model file")
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="recording; WAV, FLAC, Ogg, MP3 and others")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--threshold", metavar="T", type=float, help="score at which it fires (the model's own)")
    where.add_argument("--budget", metavar="0.5/h", help="fire at the card's threshold for these false accepts")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object per file and line")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    graph = Graph.load(options.model)
    threshold = resolve_threshold(graph.card, threshold=options.threshold, budget=options.budget)
    return 1 if detect_files(graph, options.files, threshold=threshold, as_json=options.as_json) else 0


def detect_files(graph: Graph, files: Sequence[Path], *, threshold: float, as_json: bool) -> int:
    """Print the detections in each file, as text or as one JSON object per line.

    A file that cannot be read is named on standard error, and the others are still done.

    Returns:
        Number of files that could not be read.

    Raises:
        ConfigError: the threshold is out of range.
        DependencyError: a file needs an optional package that is not installed.
    """
    stream = DetectionStream(graph, threshold=threshold)
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
