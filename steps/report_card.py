"""The report card: one page on what a model is and how good it was found to be."""

from __future__ import annotations

from typing import Any

__all__ = ["format_report_card"]


def format_report_card(card: dict[str, Any], metrics: dict[str, Any], *, model: str, kibibytes: int) -> str:
    """The report card as Markdown, readable as plain text.

    Args:
        card: final model card.
        metrics: of the stage evaluate.
        model: file name of the model.
        kibibytes: its size.
    """
    test = metrics["test"]
    conditions = list(test["points"][0]["misses"])
    frontends = " + ".join(frontend["name"] for frontend in card["frontends"])
    architecture = card["architecture"]
    clips = ", ".join(f"{count} {engine}" for engine, count in sorted(card["training"]["clips"].items()))
    lines = [
        f"# {card['phrase']}",
        "",
        f"- model: `{model}`, {kibibytes} KiB, {frontends}, {architecture['members']} x {architecture['name']}",
        f"- phonemes: {card['phonemes']}",
        f"- trained on: {clips} clips; {card['training']['voices']['train']} voices",
        f"- licences: {'; '.join(card['training']['licences'])}; "
        + "; ".join(f"{frontend['name']} {frontend['licence']}" for frontend in card["frontends"]),
        "",
        metrics["statement"],
        f"{test['positives']} clips of the phrase, {test['hours']:.2f} h without it.",
        f"In brackets: exact limits, confidence {test['confidence']:.0%}.",
        "",
        "| threshold | false accepts per hour | " + " | ".join(f"missed, {name}" for name in conditions) + " |",
        "|---|---|" + "---|" * len(conditions),
        *(_row(point) for point in test["points"] if point["budget_fa_per_hour"] is None),
        "",
        "The thresholds above were set on other recordings. Those below fit the test recordings themselves:",
        "",
        "| budget | threshold | " + " | ".join(f"missed, {name}" for name in conditions) + " |",
        "|---|---|" + "---|" * len(conditions),
        *(_budget_row(point) for point in test["points"] if point["budget_fa_per_hour"] is not None),
        "",
        *(f"Note on {point['name']}: {point['note']}." for point in test["points"] if point["note"]),
        _gate_line(metrics["gate"]),
    ]
    return "\n".join(lines) + "\n"


def _row(point: dict[str, Any]) -> str:
    rate = point["false_accepts"]
    hourly = f"{rate['rate']:.2f} ({rate['low']:.2f}-{rate['high']:.2f}), {rate['count']} heard"
    return f"| {point['threshold']:.4f}, {point['name']} | {hourly} | {_misses(point)} |"


def _budget_row(point: dict[str, Any]) -> str:
    threshold = "none" if point["threshold"] is None else f"{point['threshold']:.4f}"
    return f"| {point['name']} | {threshold} | {_misses(point)} |"


def _misses(point: dict[str, Any]) -> str:
    return " | ".join(
        f"{100 * rate['rate']:.1f} % ({100 * rate['low']:.1f}-{100 * rate['high']:.1f})"
        for rate in point["misses"].values()
    )


def _gate_line(gate: dict[str, Any]) -> str:
    if gate["passed_of_accepted"] is None:
        return "The gate was not measured: the detector accepted no clip."
    return (
        f"Gate: passes {100 * gate['passed_of_accepted']:.1f} % of the {gate['accepted_clips']} clips that the "
        f"detector accepts; open for {100 * gate['open_share_of_negatives']:.2f} % of the audio without the phrase."
    )
