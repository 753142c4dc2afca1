"""A report as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nanowakeword.evaluation.limits import CONFIDENCE, Rate
from nanowakeword.evaluation.report import OperatingPoint, Report

__all__ = ["format_report"]

_SHOWN_RECORDINGS: Final = 5


def format_report(report: Report) -> str:
    """Tables and lists, a line end at the end."""
    conditions = list(report.points[0].misses)
    header = ["", "threshold", "false accepts per hour", *(f"missed, {name}" for name in conditions)]
    rows = [[point.name, _threshold(point), _hourly(point.false_accepts), *_misses(point)] for point in report.points]
    lines = [
        f"{report.model}: {report.phrase!r}",
        f"{report.positives} recordings of the phrase, {report.negatives} without it, {report.hours:.2f} h",
        f"(in brackets: exact limits, confidence {CONFIDENCE:.0%})",
        "",
        *_align([header, *rows]),
        "",
        "Thresholds for a budget are chosen on these same recordings: fresh ones will give a little more.",
        *_notes(report),
    ]
    for condition, clips in report.hard_clips.items():
        shown = [(f"{clip.score:.3f}", clip.name) for clip in clips[:_SHOWN_RECORDINGS]]
        lines += ["", f"Lowest scores of the phrase, {condition}:", *(f"  {score}  {name}" for score, name in shown)]
    lines += ["", "Highest scores without the phrase:"]
    lines += [
        f"  {item.score:.3f}  {item.name} at {item.at_s:.2f} s" for item in report.hard_negatives[:_SHOWN_RECORDINGS]
    ]
    if report.left_out:
        lines += ["", f"Left out, {len(report.left_out)} recordings that cannot be read:"]
        lines += [f"  {item.reason}" for item in report.left_out]
    return "\n".join(lines) + "\n"


def _notes(report: Report) -> list[str]:
    """Each note once, with the names of the points that it is about."""
    names: dict[str, list[str]] = {}
    for point in report.points:
        if point.note:
            names.setdefault(point.note, []).append(point.name)
    return [f"Note on {', '.join(points)}: {note}." for note, points in names.items()]


def _threshold(point: OperatingPoint) -> str:
    return "none" if point.threshold is None else f"{point.threshold:.4f}"


def _hourly(rate: Rate) -> str:
    return f"{rate.rate:.2f} ({rate.low:.2f}-{rate.high:.2f}), {rate.count} seen"


def _misses(point: OperatingPoint) -> list[str]:
    return [
        f"{100 * rate.rate:.1f} % ({100 * rate.low:.1f}-{100 * rate.high:.1f}), {rate.count} of {rate.total:.0f}"
        for rate in point.misses.values()
    ]


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
