"""The corpora by name. To add one: a file beside this one and a line in the table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol, cast

from nanowakeword.errors import ConfigError
from steps.corpora.corpus import CorpusFacts, CorpusFile

__all__ = ["CORPORA", "Corpus", "load_corpus"]

CORPORA: Final = {
    "common_voice": "steps.corpora.common_voice",
    "demand": "steps.corpora.demand",
    "esc50": "steps.corpora.esc50",
    "librispeech": "steps.corpora.librispeech",
    "manifest": "steps.corpora.manifest",
    "mit_rir": "steps.corpora.mit_rir",
    "musan": "steps.corpora.musan",
}


class Corpus(Protocol):
    """What a corpus' module offers."""

    FACTS: CorpusFacts
    prepare: Callable[[Path], Iterator[CorpusFile]]


def load_corpus(name: str) -> Corpus:
    """A corpus by its name in the table.

    Raises:
        ConfigError: there is none.
    """
    if name not in CORPORA:
        raise ConfigError("corpus", got=repr(name), expected=f"one of {', '.join(CORPORA)}")
    return cast(Corpus, importlib.import_module(CORPORA[name]))
