"""``nanowakeword evaluate M.onnx --positives DIR --negatives DIR``: how good a model is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from nanowakeword.console import ProgressLine
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.evaluation import evaluate, find_recordings, format_report
from nanowakeword.graph import Graph

__all__ = ["add_arguments", "evaluate_model", "run"]

_EXAMPLES: Final = """\
examples:
  nanowakeword evaluate hey_nano.onnx --positives hey_nano/ --negatives radio/
  nanowakeword evaluate hey_nano.onnx --positives hey_nano/ --negatives radio/ --babble-snr-db 10 --json report.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Stream recordings through a model and print its miss rate at 0.1, 0.5, 1 and 2 false accepts per hour and at\n"
        "its own threshold, with exact 95 % limits. Folders are searched with their subfolders; each positive\n"
        "recording holds the phrase once. Recordings that cannot be read are listed and are part of no figure; it is\n"
        "an error only if none is left."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("model", metavar="M.onnx", type=Path, help="model file")
    parser.add_argument("--positives", metavar="DIR", type=Path, required=True, help="recordings of the phrase")
    parser.add_argument(
        "--negatives",
        metavar="DIR",
        type=Path,
        required=True,
        help="recordings without the phrase: speech, music, noise",
    )
    parser.add_argument(
        "--babble-snr-db",
        metavar="DB",
        type=float,
        help="measure the positives in babble too, made of the negatives and DB decibels below them",
    )
    parser.add_argument("--threshold", metavar="T", type=float, help="score at which it fires (the model's own)")
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path, help="write everything to a file, too")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    evaluate_model(
        options.model,
        positives=options.positives,
        negatives=options.negatives,
        babble_snr_db=options.babble_snr_db,
        threshold=options.threshold,
        json_file=options.json_file,
    )
    return 0


def evaluate_model(
    model: Path,
    *,
    positives: Path,
    negatives: Path,
    babble_snr_db: float | None,
    threshold: float | None,
    json_file: Path | None,
) -> None:
    """Measure a model on two folders of recordings, print the report and write it to a file.

    Raises:
        AudioError: a folder has no recording that can be read.
        ConfigError: an argument is out of range.
        DependencyError: a recording needs an optional package that is not installed.
        ModelError: the model cannot be loaded.
        StorageError: the report cannot be written.
    """
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise ConfigError(f"--json {json_file}", got="no such folder", expected="a file in a folder that exists")
    if babble_snr_db is not None and not -60.0 <= babble_snr_db <= 60.0:
        raise ConfigError("--babble-snr-db", got=babble_snr_db, expected="-60 to 60 dB")
    line = ProgressLine()
    try:
        report = evaluate(
            Graph.load(model),
            positives=find_recordings(positives),
            negatives=find_recordings(negatives),
            babble_snr_db=babble_snr_db,
            threshold=threshold,
            progress=line.update,
        )
    finally:
        line.close()
    if json_file is not None:
        _write(json_file, report.to_json())
    print(format_report(report), end="")


def _write(path: Path, text: str) -> None:
    """Replace a file at once: it is whole or untouched."""
    beside = path.with_name(f".{path.name}.writing")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from None
