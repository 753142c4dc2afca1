"""``python -m flows.dvc_child ARGUMENT...``: DVC's command line in a process that dies with whoever started it."""

from __future__ import annotations

import sys

from dvc.cli import main

from steps.lifeline import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(sys.argv[1:]))
