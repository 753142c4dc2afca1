"""``nanowakeword completion SHELL``: a script that teaches a shell this program's commands, options and files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from nanowakeword.errors import DependencyError

__all__ = ["add_arguments", "run"]

_SHELLS: Final = ("bash", "zsh", "tcsh")
_EXAMPLES: Final = """\
examples:
  source <(nanowakeword completion bash)                 in this shell; or in ~/.bashrc, for all
  nanowakeword completion zsh > ~/.zfunc/_nanowakeword   a folder of your $fpath, before compinit runs
  nanowakeword completion tcsh > ~/.nanowakeword.tcsh    then: source ~/.nanowakeword.tcsh in ~/.tcshrc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "Print a script for the shell's tab completion."
    parser.epilog = _EXAMPLES
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    try:
        import shtab
    except ImportError:
        raise DependencyError(
            "tab completion is written by the package shtab",
            hint='Install it: pip install "nanowakeword[completion]"',
        ) from None
    from nanowakeword.cli import COMMANDS, make_parser

    parser = make_parser(*COMMANDS)
    _mark_paths(parser, file=shtab.FILE, folder=shtab.DIRECTORY)
    print(shtab.complete(parser, shell=options.shell))
    return 0


def _mark_paths(parser: argparse.ArgumentParser, *, file: object, folder: object) -> None:
    """Tell shtab which arguments are files and which are folders: it reads an attribute of theirs."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _mark_paths(below, file=file, folder=folder)
        elif action.type is Path or str(action.metavar).endswith(".onnx"):
            action.complete = folder if action.metavar == "DIR" else file  # type: ignore[attr-defined]
