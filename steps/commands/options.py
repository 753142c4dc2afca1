"""Options that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_workspace"]


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """The option ``--workspace``: a `Path`."""
    parser.add_argument(
        "--workspace", type=Path, default=Path(), metavar="DIR", help="folder with params.yaml (default: this one)"
    )
