"""``python -m steps NAME``: run one stage, as DVC does; ``python -m steps check``: validate the settings only."""

from __future__ import annotations

import argparse
import ctypes
import signal
import sys
from pathlib import Path

from nanowakeword.errors import NanoWakewordError
from steps.settings import load_settings
from steps.stage import STAGES, run_stage


def main(arguments: list[str] | None = None) -> int:
    """Run a stage; returns the exit status: 0, 1 for an error that is the user's to mend, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m steps", description=__doc__)
    parser.add_argument("stage", choices=["check", *STAGES], metavar=f"{{check,{','.join(STAGES)}}}")
    parser.add_argument("--workspace", type=Path, default=Path(), help="folder with params.yaml (default: this one)")
    options = parser.parse_args(arguments)
    _die_with_parent()
    try:
        if options.stage == "check":
            settings = load_settings(options.workspace / "params.yaml")
            print(f"settings are valid; the phrase is {settings.wakeword.phrase!r}")
        else:
            run_stage(options.stage, root=options.workspace)
    except NanoWakewordError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{options.stage}: interrupted; run again to go on\n")
        return 130
    return 0


def _die_with_parent() -> None:
    """Ask Linux to end this process when DVC dies: an orphan would go on writing into outputs that DVC took away."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
