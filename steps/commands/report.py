"""``python -m steps report``: how good the model is, and where it is."""

from __future__ import annotations

import argparse

from nanowakeword.errors import ConfigError
from steps.commands.options import add_workspace
from steps.stage import STAGES

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_workspace(parser)


def run(options: argparse.Namespace) -> None:
    """Print the report."""
    folder = options.workspace / STAGES["publish"].out
    report = folder / "report.md"
    if not report.is_file():
        raise ConfigError("no model has been made here", got=f"no file {report}", hint="Run: dvc repro")
    print(report.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.onnx")):
        print(f"model: {path.resolve()} ({path.stat().st_size / 1e6:.1f} MB)")
