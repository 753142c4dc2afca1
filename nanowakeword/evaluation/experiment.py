"""The whole measurement of a model: recordings in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from nanowakeword.arrays import Floats
from nanowakeword.evaluation.babble import Babble
from nanowakeword.evaluation.false_accepts import FalseAccepts
from nanowakeword.evaluation.measure import det_curve, point_at, point_for_budget
from nanowakeword.evaluation.recordings import Recording
from nanowakeword.evaluation.report import HardClip, Report
from nanowakeword.evaluation.scoring import Scores, clip_peaks, score_recordings
from nanowakeword.graph import Graph
from nanowakeword.postfilter import REFRACTORY_S, check_threshold
from nanowakeword.timing import SAMPLE_RATE_HZ

__all__ = ["BUDGETS_FA_PER_HOUR", "TAIL_S", "build_report", "evaluate", "score_negatives", "score_positives"]

BUDGETS_FA_PER_HOUR: Final = (0.1, 0.5, 1.0, 2.0)
TAIL_S: Final = 0.5
_NEGATIVE_GAP_S: Final = 0.5
_POSITIVE_GAP_S: Final = 2.0
_HARD: Final = 20

Progress = Callable[[str, int, int], None]


def evaluate(
    graph: Graph,
    *,
    positives: Sequence[Recording],
    negatives: Sequence[Recording],
    budgets_fa_per_hour: Sequence[float] = BUDGETS_FA_PER_HOUR,
    threshold: float | None = None,
    babble_snr_db: float | None = None,
    refractory_s: float = REFRACTORY_S,
    tail_s: float = TAIL_S,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Measure misses and false accepts by streaming recordings through the runtime.

    Args:
        graph: the model.
        positives: recordings of the phrase, one utterance each.
        negatives: recordings without the phrase.
        budgets_fa_per_hour: false accepts per hour to find thresholds for.
        threshold: another one to measure. None: the model's own.
        babble_snr_db: measure the positives a second time, with babble made of the negatives at this level below them.
        refractory_s: seconds after a false accept in which none is counted.
        tail_s: seconds after a clip in which it may still be heard.
        seed: of gaps and babble.
        progress: is told what is scored, how many recordings are done, and of how many.

    Raises:
        AudioError: not one positive, or not one negative, could be read.
        ConfigError: the threshold is out of range.
        DependencyError: a recording needs an optional package that is not installed.
    """
    own = graph.card.threshold
    thresholds = {"model's own": own} if threshold is None else {"given": check_threshold(threshold)}
    clips = {"clean": score_positives(graph, positives, tail_s=tail_s, seed=seed, progress=progress)}
    if babble_snr_db is not None:
        babble = Babble(negatives, snr_db=babble_snr_db, seed=seed)
        clips[babble.name] = score_positives(
            graph, positives, tail_s=tail_s, seed=seed, babble=babble, progress=progress
        )
    scores = score_negatives(graph, negatives, seed=seed, progress=progress)
    return build_report(
        graph,
        clips=clips,
        negatives=scores,
        budgets_fa_per_hour=budgets_fa_per_hour,
        thresholds=thresholds,
        refractory_s=refractory_s,
        tail_s=tail_s,
    )


def score_positives(
    graph: Graph,
    recordings: Sequence[Recording],
    *,
    tail_s: float,
    seed: int,
    babble: Babble | None = None,
    like: Graph | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Stream recordings of the phrase, so far apart that none is heard through another's score; as `evaluate`.

    With ``like``, they are as far apart as for that model, so that scores of both are of the same audio, hop by hop.
    """
    reach_s = ((like or graph).card.receptive_field_samples or 0) / SAMPLE_RATE_HZ
    return score_recordings(
        graph,
        recordings,
        gap_s=max(_POSITIVE_GAP_S, tail_s, reach_s),
        seed=seed,
        mix=babble.mix if babble else None,
        report=_named(progress, f"phrase, {babble.name}" if babble else "phrase"),
    )


def score_negatives(
    graph: Graph, recordings: Sequence[Recording], *, seed: int, progress: Progress | None = None
) -> Scores:
    """Stream recordings without the phrase; as `evaluate`."""
    return score_recordings(
        graph, recordings, gap_s=_NEGATIVE_GAP_S, seed=seed, report=_named(progress, "other recordings")
    )


def build_report(
    graph: Graph,
    *,
    clips: Mapping[str, Scores],
    negatives: Scores,
    budgets_fa_per_hour: Sequence[float] = BUDGETS_FA_PER_HOUR,
    thresholds: Mapping[str, float],
    refractory_s: float = REFRACTORY_S,
    tail_s: float = TAIL_S,
) -> Report:
    """Turn scores into a report.

    Args:
        graph: the model that gave them.
        clips: of recordings of the phrase, by condition, such as ``clean``; the first condition gives their number.
        negatives: of recordings without the phrase.
        budgets_fa_per_hour: false accepts per hour to find thresholds for.
        thresholds: others to measure, by a name for each.
        refractory_s: seconds after a false accept in which none is counted.
        tail_s: seconds after a clip in which it may still be heard.
    """
    false_accepts = FalseAccepts(negatives, refractory_s=refractory_s)
    peaks = {condition: clip_peaks(scores, tail_s=tail_s) for condition, scores in clips.items()}
    points = [point_for_budget(false_accepts, peaks, fa_per_hour=budget) for budget in budgets_fa_per_hour]
    points += [point_at(false_accepts, peaks, threshold=value, name=name) for name, value in thresholds.items()]
    loudest = false_accepts.events(false_accepts.lowest_threshold(_HARD) or 1.0)
    left_out = {item.name: item for scores in (*clips.values(), negatives) for item in scores.left_out}
    return Report(
        model=graph.card.name,
        phrase=graph.card.phrase,
        positives=next(iter(clips.values())).n_recordings,
        negatives=negatives.n_recordings,
        hours=negatives.hours,
        points=tuple(points),
        curve=det_curve(false_accepts, peaks),
        hard_clips={condition: _hardest(scores, peaks[condition]) for condition, scores in clips.items()},
        hard_negatives=tuple(sorted(loudest, key=lambda item: -item.score)[:_HARD]),
        left_out=tuple(left_out.values()),
    )


def _hardest(scores: Scores, peaks: Floats) -> tuple[HardClip, ...]:
    names = scores.names
    return tuple(
        HardClip(name=names[index], score=float(peaks[index])) for index in np.argsort(peaks, kind="stable")[:_HARD]
    )


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(what, done, total)
