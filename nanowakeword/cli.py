"""The program ``nanowakeword``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from nanowakeword import __version__
from nanowakeword.errors import NanoWakewordError

__all__ = ["main"]

_EXAMPLES: Final = """\
examples:
  nanowakeword --info hey_nano.onnx                      what a model is
  nanowakeword detect hey_nano.onnx kitchen.wav          what it hears in recordings
  nanowakeword evaluate hey_nano.onnx --positives hey_nano/ --negatives radio/ --babble-snr-db 10
                                                         how often it misses, and fires for nothing
  nanowakeword -c params.yaml                            make a model; in a checkout of the repository
  nanowakeword --model hey_nano.onnx --port 8765         serve it over gRPC; in a checkout of the repository

exit status: 0 done, 1 an error, told in one line, 2 wrong usage, 130 interrupted
"""
_BROKEN_PIPE_STATUS: Final = 141
_INTERRUPTED_STATUS: Final = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all errors of this program."""

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


def _run(arguments: Sequence[str]) -> int:
    parser = _make_parser()
    if _asks_for_server(arguments):
        from nanowakeword.commands.checkout import become_server

        become_server(arguments)
    options = parser.parse_args(arguments)
    if options.info_json and options.info is None:
        parser.error("--json belongs to --info, detect or evaluate")
    if options.command == "detect":
        from nanowakeword.commands.detect import detect_files

        failed = detect_files(options.model, options.files, threshold=options.threshold, as_json=options.as_json)
        return 1 if failed else 0
    if options.command == "evaluate":
        from nanowakeword.commands.evaluate import evaluate_model

        evaluate_model(
            options.model,
            positives=options.positives,
            negatives=options.negatives,
            babble_snr_db=options.babble_snr_db,
            threshold=options.threshold,
            json_file=options.json_file,
        )
        return 0
    if options.config is not None:
        from nanowakeword.commands.checkout import run_pipeline

        return run_pipeline(options.config)
    if options.info is not None:
        from nanowakeword.commands.info import show_info

        show_info(options.info, as_json=options.info_json)
        return 0
    parser.print_help(sys.stderr)
    return 2


def _asks_for_server(arguments: Sequence[str]) -> bool:
    """Whether the arguments are the server's: it has a command line of its own, which is not repeated here."""
    return any(word == "--model" or word.startswith("--model=") for word in arguments) and arguments[0].startswith("-")


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nanowakeword",
        description="Wake words: look at models, run them on recordings, measure them, make and serve them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nanowakeword {__version__}")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--info", metavar="M.onnx", type=Path, help="show a model's card, inputs and size")
    what.add_argument("-c", "--config", metavar="params.yaml", type=Path, help="run the pipeline's stages (dvc repro)")
    what.add_argument("--model", metavar="M.onnx", help="serve a model; all options go to python -m serving")
    parser.add_argument("--json", dest="info_json", action="store_true", help="with --info: print JSON")
    commands = parser.add_subparsers(dest="command", metavar="{detect,evaluate}")
    _add_detect(commands)
    _add_evaluate(commands)
    return parser


def _add_detect(commands: Any) -> None:
    parser = commands.add_parser(
        "detect",
        help="run a model on recordings",
        description="Print what a model hears in recordings: file, seconds from its start, phrase, score. A recording "
        "that cannot be read is named, the others are done, and the exit status is 1.",
        allow_abbrev=False,
    )
    _add_model(parser)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="recording; WAV, FLAC, Ogg, MP3 and others")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object per file and line")


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure misses and false accepts",
        description="Stream recordings through a model and print its miss rate at 0.1, 0.5, 1 and 2 false accepts per "
        "hour and at its own threshold, with exact 95 % limits. Folders are searched with their subfolders; each "
        "positive recording holds the phrase once. Recordings that cannot be read are listed and are part of no "
        "figure; it is an error only if none is left.",
        allow_abbrev=False,
    )
    _add_model(parser)
    folder = {"metavar": "DIR", "type": Path, "required": True}
    parser.add_argument("--positives", help="recordings of the phrase", **folder)
    parser.add_argument("--negatives", help="recordings without the phrase: speech, music, noise", **folder)
    parser.add_argument(
        "--babble-snr-db",
        metavar="DB",
        type=float,
        help="measure the positives in babble too, made of the negatives and DB decibels below them",
    )
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path, help="write everything to a file, too")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="M.onnx", type=Path, help="model file")
    parser.add_argument("--threshold", metavar="T", type=float, help="score at which it fires (the model's own)")
