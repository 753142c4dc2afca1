"""Run one stage, as DVC does, or prepare and look at a workspace: a folder with settings and what was made from them.

The repository itself is a workspace; ``python -m steps workspace DIR`` makes others, for other phrases or settings.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from nanowakeword.errors import NanoWakewordError
from steps.commands.options import add_workspace
from steps.lifeline import die_with_parent
from steps.stage import STAGES, run_stage

__all__ = ["COMMANDS", "main"]


class Command(NamedTuple):
    """A command: its module offers ``add_arguments(parser)`` and ``run(options)``."""

    module: str
    help: str


COMMANDS: Final = {
    "check": Command("steps.commands.check", "validate the settings, and nothing else"),
    "clips": Command("steps.commands.clips", "list, play or export the windows that a model is trained on"),
    "journal": Command("steps.commands.journal", "show and compare the runs of a workspace"),
    "manifest": Command("steps.commands.manifest", "write a manifest of a public corpus that you downloaded"),
    "pipeline": Command("steps.commands.pipeline", "bring dvc.yaml up to date with the code and the settings"),
    "report": Command("steps.commands.report", "show the report on the model, and where the model is"),
    "say": Command("steps.commands.say", "hear how each engine says a phrase, before a long run"),
    "workspace": Command("steps.commands.workspace", "make a workspace, or apply options to one"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns 0, 1 for an error that is the user's to mend, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(arguments).parse_args(arguments)
    if "DVC_STAGE" in os.environ:
        die_with_parent()
    try:
        if options.command in STAGES:
            run_stage(options.command, root=options.workspace)
        else:
            options.run(options)
    except NanoWakewordError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{options.command}: interrupted; run again to go on\n")
        return 130
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the module of the command that is asked for is imported."""
    parser = argparse.ArgumentParser(prog="python -m steps", description=__doc__)
    table = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        below = table.add_parser(name, help=command.help, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name in arguments[:1]:
            module = importlib.import_module(command.module)
            module.add_arguments(below)
            below.set_defaults(run=module.run)
    for name in STAGES:
        add_workspace(table.add_parser(name, help=f"run the stage {name}"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
