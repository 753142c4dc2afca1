"""Where training audio comes from and under which licence: what a model's card and its attribution have to say.

Licences travel with each recording, from manifest to card. Those that are neither public domain nor the owner's own
demand that the source is named, or may demand it: all sources of real training audio are named, so that nobody has to
look up which.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from steps.listing import NOT_STATED
from steps.recordings import Recording
from steps.settings import NpySource

__all__ = ["describe_sources", "describe_training", "format_attribution", "licence_warnings"]

# CC-BY-NC, CC-BY-NC-SA and the like, and "non-commercial" in words.
_NON_COMMERCIAL: Final = re.compile(r"\bnc\b|non-?commercial", re.IGNORECASE)
# "ESC-50 (https://...): freesound 12345, by somebody" and "github:owner/name folder/12.flac" name one file of a corpus.
_ONE_FILE: Final = re.compile(r": .*$|\s\S+\.\w{2,5}$")


def describe_training(*, clips: Path, corpus: Path, features: Sequence[NpySource]) -> dict[str, Any]:
    """What a model's card says of what it was trained on.

    Args:
        clips: folder of the stage synthesize.
        corpus: folder of the stage corpus.
        features: files of features that the user had already.
    """
    spoken = json.loads((clips / "summary.json").read_text("utf-8"))
    real = json.loads((corpus / "summary.json").read_text("utf-8"))
    sources, own = real["training_sources"], [source.licence for source in features]
    return {
        "clips": spoken["clips"],
        "voices": {split: len(voices) for split, voices in spoken["voices"].items()},
        "real_hours": {kind: hours["train"] for kind, hours in real["hours"].items() if "train" in hours},
        "licences": sorted({*spoken["licences"], *(source["licence"] for source in sources), *own}),
        "sources": sources,
        "features": [source.model_dump(mode="json") for source in features],
        "notes": [*real["warnings"], *licence_warnings(own, things="files of features")],
    }


def describe_sources(recordings: Sequence[Recording]) -> list[dict[str, Any]]:
    """Licence, source, number and hours of the recordings that are trained on, a corpus a line.

    Args:
        recordings: of all splits.
    """
    count: Counter[tuple[str, str]] = Counter()
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for recording in recordings:
        if recording.split == "train":
            key = recording.licence, _ONE_FILE.sub("", recording.source)
            count[key] += 1
            seconds[key] += recording.seconds
    return [
        {"licence": licence, "source": source, "recordings": count[licence, source], "hours": round(hours / 3600.0, 4)}
        for (licence, source), hours in sorted(seconds.items())
    ]


def format_attribution(recordings: Sequence[Recording]) -> str:
    """The sources of all recordings that are trained on, in full, as Markdown; empty where there are none."""
    by_licence: defaultdict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        if recording.split == "train":
            by_licence[recording.licence].add(recording.source)
    if not by_licence:
        return ""
    lines = ["# Real recordings in the training data", "", "Cut, mixed, filtered and re-encoded for training."]
    for licence, sources in sorted(by_licence.items()):
        lines += ["", f"## {licence}", "", *(f"- {source}" for source in sorted(sources))]
    return "\n".join(lines) + "\n"


def licence_warnings(licences: Sequence[str], *, things: str) -> list[str]:
    """What to know before a model is given to others.

    Args:
        licences: of each thing that is trained on.
        things: what they are.
    """
    count, warnings = Counter(licences), []
    if bound := sorted(licence for licence in count if _NON_COMMERCIAL.search(licence)):
        number = sum(count[licence] for licence in bound)
        warnings.append(f"{number} {things} may not be used commercially ({', '.join(bound)}).")
    if unknown := count[NOT_STATED]:
        warnings.append(f"Nobody states the licence of {unknown} {things}: see that you may use them.")
    return warnings
