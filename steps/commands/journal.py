"""``python -m steps journal``: the runs of a workspace, beside each other."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nanowakeword.errors import ConfigError
from steps.journal import read_entries
from steps.journal_comparison import compare_runs, find_gains, format_gains, format_journal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Show the training journal: each published run, what was changed, how it did, and which setting went with\n"
        "which gain. Two numbers compare two runs."
    )
    parser.epilog = (
        "examples:\n"
        "  nanowakeword journal\n"
        "  nanowakeword journal workspaces/alexa --compare 3 7\n"
        "  nanowakeword journal workspaces/alexa --json > runs.json"
    )
    parser.add_argument(
        "workspace", metavar="WORKSPACE", type=Path, nargs="?", default=Path(), help="default: this one"
    )
    parser.add_argument("--compare", type=int, nargs=2, metavar=("RUN", "RUN"), help="two runs, by their numbers")
    parser.add_argument("--json", action="store_true", help="print JSON in place of Markdown")


def run(options: argparse.Namespace) -> None:
    """Print the journal or a comparison."""
    entries = read_entries(options.workspace)
    if not entries:
        raise ConfigError(
            "no run has been published here", got=f"no {options.workspace / 'journal.jsonl'}", hint="Run: dvc repro"
        )
    if options.compare is None:
        told: Any = {"runs": entries, "gains": find_gains(entries)}
        print(json.dumps(told, indent=2, ensure_ascii=False) if options.json else format_journal(entries))
        return
    for number in options.compare:
        if not 1 <= number <= len(entries):
            raise ConfigError("--compare", got=f"run {number}", expected=f"runs from 1 to {len(entries)}")
    before, after = (entries[number - 1] for number in options.compare)
    if options.json:
        print(json.dumps(compare_runs(before, after), indent=2, ensure_ascii=False))
        return
    gains = find_gains([before, after])
    for gain in gains:
        gain["runs"] = list(options.compare)
    if not compare_runs(before, after)["comparable"]:
        print("These runs were not measured on the same recordings: their figures cannot be compared.")
    print(format_gains(gains))
