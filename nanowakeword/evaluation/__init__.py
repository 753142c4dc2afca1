"""The honest measurement: recordings streamed through the runtime that users deploy, figures with exact limits.

    positives = find_recordings(Path("hey_nano"))
    negatives = find_recordings(Path("radio"))
    report = evaluate(Graph.load("hey_nano.onnx"), positives=positives, negatives=negatives, babble_snr_db=10.0)
    print(format_report(report))

A clip is heard if a score within it, or up to 0.5 s after its end, reaches the threshold. A false accept is a hop that
reaches it in audio without the phrase; for 1 s after it none is counted. Hours are those of the recordings alone.
"""

from __future__ import annotations

from nanowakeword.evaluation.babble import Babble
from nanowakeword.evaluation.experiment import (
    BUDGETS_FA_PER_HOUR,
    TAIL_S,
    build_report,
    evaluate,
    score_negatives,
    score_positives,
)
from nanowakeword.evaluation.false_accepts import FalseAccept, FalseAccepts
from nanowakeword.evaluation.limits import Rate, binomial_limits, per_hour, poisson_limits, share
from nanowakeword.evaluation.measure import det_curve, miss_rate, point_at, point_for_budget, threshold_for_budget
from nanowakeword.evaluation.recordings import LeftOut, Recording, find_recordings
from nanowakeword.evaluation.report import CurvePoint, HardClip, OperatingPoint, Report
from nanowakeword.evaluation.scoring import Scores, StreamScores, clip_peaks, score_recordings
from nanowakeword.evaluation.table import format_report

__all__ = [
    "BUDGETS_FA_PER_HOUR",
    "TAIL_S",
    "Babble",
    "CurvePoint",
    "FalseAccept",
    "FalseAccepts",
    "HardClip",
    "LeftOut",
    "OperatingPoint",
    "Rate",
    "Recording",
    "Report",
    "Scores",
    "StreamScores",
    "binomial_limits",
    "build_report",
    "clip_peaks",
    "det_curve",
    "evaluate",
    "find_recordings",
    "format_report",
    "miss_rate",
    "per_hour",
    "point_at",
    "point_for_budget",
    "poisson_limits",
    "score_negatives",
    "score_positives",
    "score_recordings",
    "share",
    "threshold_for_budget",
]
