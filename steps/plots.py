"""Pictures for people who would rather look than read: PNG files, drawn without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["plot_training", "save_figure"]


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
