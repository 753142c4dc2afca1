"""Pictures for people who would rather look than read: PNG files, drawn without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nanowakeword.evaluation.report import Report

__all__ = ["plot_det", "plot_training", "save_figure"]


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, the same bytes for the same figure."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


def plot_training(histories: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Loss and validation miss rate over the steps, one colour per front end."""
    figure = Figure(figsize=(9, 3.6))
    losses, misses = figure.subplots(1, 2)
    for frontend, history in histories.items():
        steps = [entry["step"] for entry in history]
        losses.plot(steps, [entry["loss"] for entry in history], marker="o", label=f"{frontend}, training")
        losses.plot(
            steps, [entry["validation_loss"] for entry in history], ls="--", marker="o", label=f"{frontend}, validation"
        )
        misses.plot(steps, [100 * entry["miss_rate"] for entry in history], marker="o", label=frontend)
    losses.set(title="Loss", xlabel="steps", yscale="log")
    misses.set(title="Missed validation windows, held-out voices", xlabel="steps", ylabel="%", ylim=(0, None))
    for axes in (losses, misses):
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
