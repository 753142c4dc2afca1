"""``python -m steps pipeline``: ``dvc.yaml`` as the code and the settings have it."""

from __future__ import annotations

import argparse

from steps.commands.options import add_workspace
from steps.pipeline import write_pipeline

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_workspace(parser)


def run(options: argparse.Namespace) -> None:
    """Write the file if it differs."""
    changed = write_pipeline(options.workspace)
    print(f"{options.workspace / 'dvc.yaml'}: {'written' if changed else 'up to date'}")
