"""``python -m steps workspace``: a folder with settings, for another phrase or other settings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from steps.workspace import prepare_workspace

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Make a workspace, or apply options to one; prints its folder on the standard output."
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="default: workspaces/NAME, or this checkout without options"
    )
    parser.add_argument("--phrase", help="the words to listen for")
    parser.add_argument("--name", help="file name of the model (default: the phrase in snake case)")
    parser.add_argument("--real", type=Path, metavar="CSV", help="manifest of real recordings")
    parser.add_argument(
        "--settings", type=Path, action="append", default=[], metavar="YAML", help="settings to lay over params.yaml"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, for example train.steps=300"
    )


def run(options: argparse.Namespace) -> None:
    """Prepare the folder and name it."""
    workspace = prepare_workspace(
        options.folder,
        phrase=options.phrase,
        name=options.name,
        real=options.real,
        overlays=options.settings,
        options=options.set,
    )
    if workspace.edited:
        sys.stderr.write(f"settings: {workspace.folder / 'params.yaml'}, as edited by hand\n")
    sys.stderr.write(f"the phrase is {workspace.settings.wakeword.phrase!r}\n")
    print(workspace.folder)
