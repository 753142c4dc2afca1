"""Run one stage, as DVC does, or prepare and look at a workspace: a folder with settings and what was made from them.

The repository itself is a workspace; ``python -m steps workspace DIR`` makes others, for other phrases or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nanowakeword.errors import ConfigError, NanoWakewordError
from steps.lifeline import die_with_parent
from steps.pipeline import write_pipeline
from steps.settings import load_settings
from steps.stage import STAGES, run_stage
from steps.workspace import prepare_workspace


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns 0, 1 for an error that is the user's to mend, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    if "DVC_STAGE" in os.environ:
        die_with_parent()
    try:
        _run(options)
    except NanoWakewordError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{options.command}: interrupted; run again to go on\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m steps", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="validate the settings, and nothing else")
    pipeline = commands.add_parser("pipeline", help="bring dvc.yaml up to date with the code and the settings")
    report = commands.add_parser("report", help="show the report on the model, and where the model is")
    stages = [commands.add_parser(name, help=f"run the stage {name}") for name in STAGES]
    for command in (check, pipeline, report, *stages):
        command.add_argument(
            "--workspace", type=Path, default=Path(), metavar="DIR", help="folder with params.yaml (default: this one)"
        )

    workspace = commands.add_parser(
        "workspace", help="make a workspace, or apply options to one; prints its folder on the standard output"
    )
    workspace.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="default: workspaces/NAME, or this checkout without options"
    )
    workspace.add_argument("--phrase", help="the words to listen for")
    workspace.add_argument("--name", help="file name of the model (default: the phrase in snake case)")
    workspace.add_argument("--real", type=Path, metavar="CSV", help="manifest of real recordings")
    workspace.add_argument(
        "--settings", type=Path, action="append", default=[], metavar="YAML", help="settings to lay over params.yaml"
    )
    workspace.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, for example train.steps=300"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    match options.command:
        case "check":
            _check(options.workspace)
        case "pipeline":
            changed = write_pipeline(options.workspace)
            print(f"{options.workspace / 'dvc.yaml'}: {'written' if changed else 'up to date'}")
        case "report":
            _report(options.workspace)
        case "workspace":
            _prepare(options)
        case stage:
            run_stage(stage, root=options.workspace)


def _check(root: Path) -> None:
    settings = load_settings(root / "params.yaml")
    real = settings.corpus.real
    if real is not None and not (root / real).is_file():
        raise ConfigError("corpus.real", got=f"no file {real}", expected="the path of a manifest.csv, or null")
    print(f"settings are valid; the phrase is {settings.wakeword.phrase!r}")


def _prepare(options: argparse.Namespace) -> None:
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


def _report(root: Path) -> None:
    folder = root / STAGES["publish"].out
    report = folder / "report.md"
    if not report.is_file():
        raise ConfigError("no model has been made here", got=f"no file {report}", hint="Run: dvc repro")
    print(report.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.onnx")):
        print(f"model: {path.resolve()} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    sys.exit(main())
