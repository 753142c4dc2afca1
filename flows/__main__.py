"""Run a flow: ``python -m flows train`` does what ``dvc repro`` does, watched by Prefect."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.train import train
from nanowakeword.errors import NanoWakewordError
from steps.npy_sources import check_npy_sources
from steps.settings import load_settings


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; returns 0, 1 for an error that is the user's to mend, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    parser.add_argument("flow", choices=["train"], metavar="train", help="from the phrase to the model")
    parser.add_argument(
        "--workspace", type=Path, default=Path(), metavar="DIR", help="folder with params.yaml (default: this one)"
    )
    options = parser.parse_args(arguments)
    workspace = options.workspace.resolve()
    try:
        check_npy_sources(load_settings(workspace / "params.yaml"), root=workspace)
        state = train(workspace, return_state=True)
    except NanoWakewordError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run again to go on\n")
        return 130
    if not state.is_completed():
        sys.stderr.write(f"error: {(state.message or 'the flow failed').removeprefix('error: ')}\n")
        return 1
    print(f"the model is in {state.message}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
