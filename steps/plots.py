"""Pictures for people who would rather look than read: PNG files, drawn without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nanowakeword.evaluation.report import Report

__all__ = ["plot_confusables", "plot_det", "plot_training", "save_figure"]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, the same bytes for the same figure."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


def plot_training(histories: dict[str, list[dict[str, Any]]], losses: dict[str, list[float]], path: Path) -> None:
    """Loss, validation miss rate and mean logits over the steps, one colour per front end.

    Args:
        histories: an entry per validation, by front end.
        losses: of each step.
        path: of the picture.
    """
    figure = Figure(figsize=(13, 3.8))
    left, middle, right = figure.subplots(1, 3)
    for number, (frontend, history) in enumerate(histories.items()):
        steps, color = [entry["step"] for entry in history], f"C{number}"
        left.plot(range(1, len(losses[frontend]) + 1), losses[frontend], color=color, alpha=0.2, lw=0.8)
        left.plot(steps, [entry["loss"] for entry in history], color=color, marker="o", label=f"{frontend}, training")
        validation = [entry["validation_loss"] for entry in history]
        left.plot(steps, validation, color=color, ls="--", marker="o", label=f"{frontend}, validation")
        middle.plot(steps, [100 * entry["miss_rate"] for entry in history], color=color, marker="o", label=frontend)
        right.plot(steps, [entry["positive_logit"] for entry in history], color=color, marker="^", label=frontend)
        right.plot(steps, [entry["negative_logit"] for entry in history], color=color, marker="v")
    left.set(title="Loss: of each step, running average", xlabel="steps", yscale="log")
    middle.set(title="Missed in validation, held-out voices", xlabel="steps", ylabel="%", ylim=(0, None))
    right.set(title="Mean logits: phrase above, others below", xlabel="steps")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save_figure(figure, path)


def plot_det(report: Report, path: Path) -> None:
    """Detection error trade-off: missed clips against false accepts per hour, and where the thresholds in the card lie.

    Points to the left of the first false accept say only that there was none in so many hours.
    """
    figure = Figure(figsize=(7, 4.6))
    axes = figure.subplots()
    least = 0.5 / report.hours
    for condition in report.points[0].misses:
        false_accepts = [max(point.fa_per_hour, least) for point in report.curve]
        line = axes.step(
            false_accepts,
            [100 * point.miss_rate[condition] for point in report.curve],
            where="post",
            label=condition,
        )[0]
        for point in report.points:
            if point.budget_fa_per_hour is None:
                miss = point.misses[condition]
                axes.errorbar(
                    max(point.false_accepts.rate, least),
                    100 * miss.rate,
                    yerr=[[100 * (miss.rate - miss.low)], [100 * (miss.high - miss.rate)]],
                    marker="o",
                    capsize=3,
                    color=line.get_color(),
                )
    axes.axvspan(least * 0.8, 1 / report.hours, color="0.9", zorder=0)
    axes.set(
        title=f"{report.phrase}: {report.positives} clips, {report.hours:.2f} h without the phrase",
        xlabel="false accepts per hour (grey: fewer than one was heard)",
        ylabel="missed, %",
        xscale="log",
        xlim=(least * 0.8, None),
        ylim=(0, None),
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend(title="dots: thresholds in the model card")
    save_figure(figure, path)


def plot_confusables(found: dict[str, Any], path: Path, *, phrase: str) -> None:
    """Share of other words that are accepted, by how far they sound from the phrase, with exact limits.

    Args:
        found: ``confusables`` of the stage evaluate.
        path: of the picture.
        phrase: that is listened for.
    """
    figure = Figure(figsize=(7, 4.2))
    axes = figure.subplots()
    labels = {"neighbours": "words and sounds like it", "parts": "parts of it"}
    for group, of in found["groups"].items():
        middles = [(tenth["from"] + tenth["to"]) / 2 for tenth in of["tenths"]]
        _rates(axes, middles, [tenth["accepted"] for tenth in of["tenths"]], label=labels[group], linestyle="-")
    if found["keywords"]:
        distances = [keyword["distance"] for keyword in found["keywords"]]
        rates = [keyword["accepted"] for keyword in found["keywords"]]
        _rates(axes, distances, rates, label="real recordings of other keywords", linestyle="")
        for number, keyword in enumerate(found["keywords"]):
            at = (keyword["distance"], 100 * keyword["accepted"]["rate"])
            above = (4, 4 + 11 * (number % 4))  # names of keywords equally far do not lie on each other
            axes.annotate(keyword["text"], at, xytext=above, textcoords="offset points", fontsize=8)
    axes.set(
        title=f"What else is taken for {phrase!r}, at threshold {found['threshold']:.3f}",
        xlabel="share of the phrase's sounds that are others",
        ylabel="accepted, %",
        xlim=(0, 1),
        ylim=(0, 100),
    )
    axes.grid(alpha=0.3)
    if found["groups"] or found["keywords"]:
        axes.legend()
    else:
        axes.text(0.5, 50, "no other words were spoken", ha="center")
    save_figure(figure, path)


def _rates(axes: Axes, places: list[float], rates: list[dict[str, float]], *, label: str, linestyle: str) -> None:
    """Percentages with their limits."""
    values = [100 * rate["rate"] for rate in rates]
    limits = [
        [100 * (rate["rate"] - rate["low"]) for rate in rates],
        [100 * (rate["high"] - rate["rate"]) for rate in rates],
    ]
    axes.errorbar(places, values, yerr=limits, marker="o", capsize=3, label=label, linestyle=linestyle)
