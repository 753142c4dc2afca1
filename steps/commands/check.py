"""``python -m steps check``: are the settings right?"""

from __future__ import annotations

import argparse

from nanowakeword.errors import ConfigError
from steps.commands.options import add_workspace
from steps.effective_settings import automatic_settings
from steps.folders import find_in_folders
from steps.npy_sources import check_npy_sources
from steps.pronunciation import read_pronunciation
from steps.settings import load_settings

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    add_workspace(parser)


def run(options: argparse.Namespace) -> None:
    """Validate the settings, and nothing else; name those that are automatic."""
    root = options.workspace
    settings = load_settings(root / "params.yaml")
    if settings.wakeword.pronunciation is not None:
        read_pronunciation(settings.wakeword.pronunciation, language=settings.wakeword.language)
    corpus = settings.corpus
    for real in corpus.real:
        if not (root / real).is_file():
            raise ConfigError("corpus.real", got=f"no file {real}", expected="the path of a manifest.csv, or null")
    find_in_folders(corpus, root=root, phrase=settings.wakeword.phrase)
    check_npy_sources(settings, root=root)
    print(f"settings are valid; the phrase is {settings.wakeword.phrase!r}")
    automatic = automatic_settings(settings)
    print(f"automatic, derived from the data by augment and train: {', '.join(automatic) or 'none'}")
