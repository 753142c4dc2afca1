"""Scores of a model on the recordings of a split, streamed through the runtime that users deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nanowakeword.evaluation.babble import Babble
from nanowakeword.evaluation.experiment import score_negatives, score_positives
from nanowakeword.evaluation.scoring import Scores
from nanowakeword.graph import Graph
from steps.material import Material
from steps.settings import Evaluate

__all__ = ["Heard", "hear_material"]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Scores of one model on one split.

    Attributes:
        clips: of recordings of the phrase, by condition: ``clean``, and in babble.
        negatives: of recordings without it.
        kinds: of each of these recordings, as `steps.material.Material` has them.
    """

    clips: Mapping[str, Scores]
    negatives: Scores
    kinds: Sequence[str]


def hear_material(
    graph: Graph,
    material: Material,
    settings: Evaluate,
    *,
    seed: int,
    like: Graph | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Heard:
    """Stream the recordings of a split.

    Args:
        graph: the model.
        material: of the split.
        settings: of the measurement.
        seed: of gaps and babble.
        like: a model that heard, or will hear, the same streams; None: this one alone.
        progress: is told what is scored, how many recordings are done, and of how many.

    Raises:
        AudioError: no recording could be read.
    """
    babble = Babble(material.talkers, snr_db=settings.babble_snr_db, seed=seed)
    clips = {
        name: score_positives(
            graph, material.positives, tail_s=settings.tail_s, seed=seed, babble=mixer, like=like, progress=progress
        )
        for name, mixer in {"clean": None, babble.name: babble}.items()
    }
    negatives = score_negatives(graph, material.negatives, seed=seed, progress=progress)
    return Heard(clips=clips, negatives=negatives, kinds=material.negative_kinds)
