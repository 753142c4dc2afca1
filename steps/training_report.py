"""How a training went, for people and for the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steps.effective_settings import EffectiveSetting
from steps.training_record import Trained, stable_losses

__all__ = ["curve_csv", "describe_run", "format_run"]


def describe_run(trained: Mapping[str, Trained], *, steps: int, fa_per_hour: float) -> dict[str, Any]:
    """Figures of a run, by front end.

    Args:
        trained: what `train_head` returned, by front end.
        steps: that were asked for.
        fa_per_hour: budget of the validation's miss rate.
    """
    return {name: _describe(one, steps=steps, fa_per_hour=fa_per_hour) for name, one in trained.items()}


def format_run(run: Mapping[str, Any], settings: Sequence[EffectiveSetting]) -> str:
    """The report card of a run, Markdown: figures, and what it ran with.

    Args:
        run: of `describe_run`.
        settings: effective ones.
    """
    budget = next(iter(run.values()))["fa_per_hour"]
    lines = [
        "# Training",
        "",
        "Validation: windows of voices kept out of training, streamed. FA/h: false accepts per hour. Logits: means of",
        "all windows; margin: their difference. Stable loss: running average of the batches' losses.",
        "",
        f"| front end | steps | stable loss | phrase logit | other logit | margin | miss at {budget:g} FA/h | best |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {of['steps']}{' (stopped early)' if of['stopped_early'] else ''} | {of['stable_loss']:.4f} "
            f"| {of['positive_logit']:.2f} | {of['negative_logit']:.2f} | {of['margin']:.2f} "
            f"| {100 * of['miss_rate']:.1f} % | {100 * of['best_miss_rate']:.1f} %, step {of['best_step']} |"
            for name, of in run.items()
        ),
        "",
        "| setting | value | source |",
        "|---|---|---|",
        *(
            f"| {setting.name} | `{setting.value}` | {setting.source}{setting.reason and f': {setting.reason}'} |"
            for setting in settings
        ),
    ]
    return "\n".join(lines) + "\n"


def curve_csv(trained: Trained) -> str:
    """Loss of each step, raw and stable, as CSV: for ``dvc plots``."""
    rows = zip(trained.losses, stable_losses(trained.losses), strict=True)
    lines = [f"{step},{loss:.6f},{stable:.6f}" for step, (loss, stable) in enumerate(rows, start=1)]
    return "\n".join(["step,loss,stable_loss", *lines]) + "\n"


def _describe(trained: Trained, *, steps: int, fa_per_hour: float) -> dict[str, Any]:
    last, best = trained.history[-1], trained.best
    return {
        "steps": last["step"],
        "stopped_early": last["step"] < steps,
        "stable_loss": round(last["loss"], 6),
        "positive_logit": last["positive_logit"],
        "negative_logit": last["negative_logit"],
        "margin": round(last["positive_logit"] - last["negative_logit"], 4),
        "miss_rate": last["miss_rate"],
        "fa_per_hour": fa_per_hour,
        "best_step": best["step"],
        "best_miss_rate": best["miss_rate"],
    }
