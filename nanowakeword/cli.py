"""The program ``nanowakeword``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from nanowakeword.errors import NanoWakewordError
from nanowakeword.version import __version__

__all__ = ["CHECKOUT_COMMANDS", "COMMANDS", "main", "make_parser"]

_EXAMPLES: Final = """\
examples:
  nanowakeword --info hey_nano.onnx                      what a model is
  nanowakeword detect hey_nano.onnx kitchen.wav          what it hears in recordings
  nanowakeword -c params.yaml                            make a model; in a checkout of the repository
  nanowakeword --model hey_nano.onnx --port 8765         serve it over gRPC; in a checkout of the repository
  nanowakeword COMMAND --help                            what a command takes, with examples

exit status: 0 done, 1 an error, told in one line, 2 wrong usage, 130 interrupted
"""
_BROKEN_PIPE_STATUS: Final = 141
_INTERRUPTED_STATUS: Final = 130


class Command(NamedTuple):
    """A command: its module offers ``add_arguments(parser)`` and ``run(options) -> exit status``."""

    module: str
    help: str


COMMANDS: Final = {
    "bench": Command("nanowakeword.commands.bench", "measure what a model costs on this machine"),
    "completion": Command("nanowakeword.commands.completion", "tab completion for a shell"),
    "detect": Command("nanowakeword.commands.detect", "run a model on recordings"),
    "enrol": Command("nanowakeword.commands.enrol", "learn the owner's voice"),
    "evaluate": Command("nanowakeword.commands.evaluate", "measure misses and false accepts"),
    "listen": Command("nanowakeword.commands.listen", "listen to a microphone"),
    "record": Command("nanowakeword.commands.record", "record the phrase, to train with it"),
}


# NanoWakeword's options, and how far each goes.
_PIPELINE_ENDS: Final = {
    ("-G", "--generate_clips"): ("synthesize", "speak the clips"),
    ("-t", "--transform_clips"): ("features", "augment them and extract features"),
    ("-T", "--train"): ("finetune", "train the detector"),
    ("-d", "--distill"): ("distill", "train the gate"),
}


class CheckoutCommand(NamedTuple):
    """A command of the repository, which the wheel lacks: all its arguments go to ``python -m steps NAME``."""

    name: str
    help: str


CHECKOUT_COMMANDS: Final = {
    "clips": CheckoutCommand("clips", "list, play or export the windows that a model is trained on"),
    "corpus": CheckoutCommand("manifest", "write a manifest of a public corpus that you downloaded"),
    "gate": CheckoutCommand("gate", "distil a gate from an exported detector alone"),
    "journal": CheckoutCommand("journal", "show and compare training runs, and which setting went with which gain"),
    "say": CheckoutCommand("say", "hear how each engine says a phrase, before a long run"),
}


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all errors of this program."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})
        self.allow_abbrev = False

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help tells more\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: default: those of the process.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be valid text; they are shown with escapes rather than not at all.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except NanoWakewordError as error:
        print(f"nanowakeword: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader of our output has enough, as `head` does. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE_STATUS
    return status


def make_parser(*commands: str) -> argparse.ArgumentParser:
    """The command line's parser.

    Args:
        commands: those whose arguments are wanted, so that only their modules are imported; all are named in the help.
    """
    parser = _Parser(
        prog="nanowakeword",
        description="Wake words: look at models, run them on recordings, measure them, make and serve them.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"nanowakeword {__version__}")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--info", metavar="M.onnx", type=Path, help="show a model's card, inputs and size")
    what.add_argument("-c", "--config", metavar="params.yaml", type=Path, help="run the pipeline's stages (dvc repro)")
    what.add_argument("--model", metavar="M.onnx", help="serve a model; all options go to python -m serving")
    _add_pipeline_options(parser)
    parser.add_argument("--json", dest="info_json", action="store_true", help="with --info: print JSON")
    table = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, elsewhere in CHECKOUT_COMMANDS.items():
        table.add_parser(name, help=f"{elsewhere.help}; in a checkout of the repository", add_help=False)
    for name, command in COMMANDS.items():
        below = table.add_parser(name, help=command.help)
        if name in commands:
            module = importlib.import_module(command.module)
            module.add_arguments(below)
            below.set_defaults(run=module.run)
    return parser


def _add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """How far a pipeline is run, and where its training begins."""
    pipeline = parser.add_argument_group("with --config", "All stages are run, unless one of these says how far:")
    for (flag, name), (stage, what) in _PIPELINE_ENDS.items():
        pipeline.add_argument(
            flag, name, dest="until", action="store_const", const=stage, help=f"{what}, and what it needs"
        )
    beginning = pipeline.add_mutually_exclusive_group()
    beginning.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="DIR",
        help="insist on going on with an interrupted training, or hear why not; with DIR, the workspace of another run "
        "or its folder of checkpoints, go on from there. An interrupted run of this workspace is gone on with anyway",
    )
    beginning.add_argument("--overwrite", action="store_true", help="forget the training's checkpoints, train anew")


def _run(arguments: Sequence[str]) -> int:
    # A command is known by its name before anything is imported: `--help` alone answers at once.
    parser = make_parser(*[word for word in arguments if word in COMMANDS][:1])
    if arguments and (elsewhere := CHECKOUT_COMMANDS.get(arguments[0])) is not None:
        from nanowakeword.commands.checkout import become_step

        become_step([elsewhere.name, *arguments[1:]])
    if _asks_for_server(arguments):
        from nanowakeword.commands.checkout import become_server

        become_server(arguments)
    options = parser.parse_args(arguments)
    if options.info_json and options.info is None:
        parser.error("--json belongs to --info, or behind a command")
    if options.command is not None:
        return int(options.run(options))
    if options.config is None and (options.until or options.overwrite or options.resume is not None):
        parser.error("-G, -t, -T, -d, --resume and --overwrite belong to --config")
    if options.config is not None:
        from nanowakeword.commands.checkout import run_pipeline

        beginning = ["--overwrite"] if options.overwrite else []
        if options.resume is not None:
            beginning = ["--resume", *([str(Path(options.resume).absolute())] if options.resume else [])]
        return run_pipeline(options.config, until=options.until, beginning=beginning)
    if options.info is not None:
        from nanowakeword.commands.info import show_info

        show_info(options.info, as_json=options.info_json)
        return 0
    parser.print_help(sys.stderr)
    return 2


def _asks_for_server(arguments: Sequence[str]) -> bool:
    """Whether the arguments are the server's: it has a command line of its own, which is not repeated here."""
    return any(word == "--model" or word.startswith("--model=") for word in arguments) and arguments[0].startswith("-")
