"""How often a model takes something else for its phrase, by how far that sounds from it.

Measured are clips of the phrase's neighbours and of its parts, by voices that training never heard, and real recordings
of other keywords where there are some.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from nanowakeword.evaluation.experiment import score_positives
from nanowakeword.evaluation.limits import share
from nanowakeword.evaluation.recordings import Recording
from nanowakeword.evaluation.scoring import Scores, clip_peaks
from nanowakeword.graph import Graph
from steps.clippack import ClipPack
from steps.material import MeasuredSplit, recording_of_clip
from steps.settings import Wakeword
from steps.spoken_texts import distances_from

__all__ = ["Confusable", "find_confusables", "measure_confusables", "measure_keywords"]

Group = Literal["neighbours", "parts"]
Progress = Callable[[str, int, int], None]

_GROUPS: Final[dict[Literal["neighbour", "partial"], Group]] = {"neighbour": "neighbours", "partial": "parts"}
_NAMED: Final = 20


@dataclass(frozen=True, kw_only=True)
class Confusable:
    """A clip of something that is not the phrase.

    Attributes:
        recording: the clip.
        text: what is said.
        distance: how far it sounds from the phrase, 0 to 1; see `steps.phonetic_distance`.
        group: neighbours of the phrase, or parts of it.
    """

    recording: Recording
    text: str
    distance: float
    group: Group


def find_confusables(split: MeasuredSplit, *, wakeword: Wakeword, clips: Path) -> list[Confusable]:
    """Clips of the neighbours and parts of a phrase.

    Args:
        split: whose voices.
        wakeword: the phrase that is listened for.
        clips: folder of the stage synthesize.
    """
    pack = ClipPack(clips)
    chosen = [(number, group) for kind, group in _GROUPS.items() for number in pack.select(kind=kind, split=split)]
    texts = [pack.clips[number].text for number, _ in chosen]
    distances = distances_from(wakeword, texts)
    return [
        Confusable(recording=recording_of_clip(pack, number), text=text, distance=distance, group=group)
        for (number, group), text, distance in zip(chosen, texts, distances, strict=True)
    ]


def measure_confusables(
    graph: Graph,
    confusables: Sequence[Confusable],
    *,
    threshold: float,
    tail_s: float,
    seed: int,
    progress: Progress | None = None,
) -> dict[Group, dict[str, Any]]:
    """Stream confusables through a model.

    Args:
        graph: the model.
        confusables: what to stream.
        threshold: accepted is what scores so high.
        tail_s: seconds after a clip in which it may still be heard.
        seed: of the gaps between them.
        progress: is told what is scored, how many are done, and of how many.

    Returns:
        By group: ``tenths``, the share accepted in each tenth of distance, with exact limits, and ``most_accepted``,
        texts with their distance, the clips of them and how many were accepted.
    """
    if not confusables:
        return {}
    recordings = [confusable.recording for confusable in confusables]
    report = None if progress is None else lambda _, done, total: progress("other words", done, total)
    scores = score_positives(graph, recordings, tail_s=tail_s, seed=seed, progress=report)
    accepted = clip_peaks(scores, tail_s=tail_s) >= threshold
    found: dict[Group, dict[str, Any]] = {}
    for group in _GROUPS.values():
        heard = [(item, bool(hit)) for item, hit in zip(confusables, accepted, strict=True) if item.group == group]
        if heard:
            found[group] = {"tenths": list(_by_tenth(heard)), "most_accepted": _most_accepted(heard)}
    return found


def measure_keywords(
    negatives: Scores,
    keywords: Mapping[str, Sequence[int]],
    *,
    wakeword: Wakeword,
    threshold: float,
    tail_s: float,
) -> list[dict[str, Any]]:
    """Which real recordings of other keywords a model accepts, the nearest keyword first.

    Args:
        negatives: what it scored on the negatives.
        keywords: numbers of each keyword's recordings among them.
        wakeword: the phrase that is listened for.
        threshold: accepted is what scores so high.
        tail_s: seconds after a recording in which it may still be heard.
    """
    places = [place.index for stream in negatives.streams for place in stream.placements]
    peaks: dict[int, float] = dict(zip(places, clip_peaks(negatives, tail_s=tail_s).tolist(), strict=True))
    distances = distances_from(wakeword, list(keywords))
    found = []
    for (text, numbers), distance in zip(keywords.items(), distances, strict=True):
        heard = [peaks[number] >= threshold for number in numbers if number in peaks]
        if heard:
            found.append({"text": text, "distance": distance, "accepted": asdict(share(sum(heard), len(heard)))})
    return sorted(found, key=lambda item: (item["distance"], item["text"]))


def _by_tenth(heard: Sequence[tuple[Confusable, bool]]) -> Iterator[dict[str, Any]]:
    tenths: defaultdict[int, list[bool]] = defaultdict(list)
    for item, hit in heard:
        tenths[min(9, int(10 * item.distance))].append(hit)
    for tenth, hits in sorted(tenths.items()):
        yield {"from": tenth / 10, "to": (tenth + 1) / 10, "accepted": asdict(share(sum(hits), len(hits)))}


def _most_accepted(heard: Sequence[tuple[Confusable, bool]]) -> list[dict[str, Any]]:
    """Texts of which any clip was accepted, those with most first, the farthest first among equals."""
    hits: defaultdict[tuple[str, float], list[bool]] = defaultdict(list)
    for item, hit in heard:
        hits[item.text, item.distance].append(hit)
    rows: list[dict[str, Any]] = [
        {"text": text, "distance": distance, "accepted": sum(of), "clips": len(of)}
        for (text, distance), of in hits.items()
        if any(of)
    ]
    return sorted(rows, key=lambda row: (-row["accepted"] / row["clips"], -row["distance"], row["text"]))[:_NAMED]
