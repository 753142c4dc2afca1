"""Run one stage, as DVC does, or prepare and look at a workspace: a folder with settings and what was made from them.

The repository itself is a workspace; ``python -m steps workspace DIR`` makes others, for other phrases or settings.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from nanowakeword.errors import NanoWakewordError
from steps.commands.options import add_workspace
from steps.lifeline import die_with_parent
from steps.stage import STAGES, Beginning, run_stage

__all__ = ["COMMANDS", "main"]


class Command(NamedTuple):
    """A command: its module offers ``add_arguments(parser)`` and ``run(options)``."""

    module: str
    help: str


COMMANDS: Final = {
    "check": Command("steps.commands.check", "validate the settings, and nothing else"),
    "clips": Command("steps.commands.clips", "list, play or export the windows that a model is trained on"),
    "gate": Command("steps.commands.gate", "distil a gate from an exported detector alone"),
    "journal": Command("steps.commands.journal", "show and compare the runs of a workspace"),
    "manifest": Command("steps.commands.manifest", "write a manifest of a public corpus that you downloaded"),
    "pipeline": Command("steps.commands.pipeline", "bring dvc.yaml up to date with the code and the settings"),
    "report": Command("steps.commands.report", "show the report on the model, and where the model is"),
    "say": Command("steps.commands.say", "hear how each engine says a phrase, before a long run"),
    "workspace": Command("steps.commands.workspace", "make a workspace, or apply options to one"),
}


_TRAINING: Final = ("train", "finetune", "distill")
_ABOUT_RESUMING: Final = """\
Without these options, as under dvc repro, a run that was interrupted goes on at its last checkpoint, to the same bits
as one that was not, and a run with other settings, data or code begins anew. --resume alone says what differs where
there is nothing to go on from. --resume DIR takes over checkpoints whose settings and data agree with those here, or
says which do not. Run dvc repro afterwards: it finds the last checkpoint, writes the same files at once and records
them. nanowakeword -c params.yaml takes the same options and does both.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns 0, 1 for an error that is the user's to mend, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(arguments).parse_args(arguments)
    if "DVC_STAGE" in os.environ:
        die_with_parent()
    try:
        if options.command in STAGES:
            run_stage(options.command, root=options.workspace, beginning=_beginning(options))
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
        stage = table.add_parser(
            name, help=f"run the stage {name}", formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add_workspace(stage)
        if name in _TRAINING:
            stage.epilog = _ABOUT_RESUMING
            which = stage.add_mutually_exclusive_group()
            which.add_argument(
                "--resume",
                nargs="?",
                const=True,
                type=Path,
                metavar="DIR",
                help="insist on going on; from another run's checkpoints with DIR, its workspace or their folder",
            )
            which.add_argument("--overwrite", action="store_true", help="forget the checkpoints and begin anew")
    return parser


def _beginning(options: argparse.Namespace) -> Beginning:
    """What the options of a stage that trains say; others have none."""
    resume = getattr(options, "resume", None)
    return Beginning(
        resume=resume is True,
        resume_from=resume if isinstance(resume, Path) else None,
        overwrite=getattr(options, "overwrite", False),
    )


if __name__ == "__main__":
    sys.exit(main())
