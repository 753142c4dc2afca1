"""``nanowakeword evaluate M.onnx --positives DIR --negatives DIR``: how good a model is."""

from __future__ import annotations

from pathlib import Path

from nanowakeword.console import ProgressLine
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.evaluation import evaluate, find_recordings, format_report
from nanowakeword.graph import Graph

__all__ = ["evaluate_model"]


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
