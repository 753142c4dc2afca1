"""The report card: one page on what a model is and how good it was found to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["format_confusables", "format_gate", "format_report_card"]

_SHOWN: Final = 6
_SOURCES: Final = 8


def format_report_card(
    card: dict[str, Any], metrics: dict[str, Any], *, model: str, kibibytes: Mapping[str, int]
) -> str:
    """The report card as Markdown, readable as plain text.

    Args:
        card: final model card.
        metrics: of the stage evaluate.
        model: file name of the model.
        kibibytes: sizes of the files by name, with their final cards.
    """
    test = metrics["test"]
    conditions = list(test["points"][0]["misses"])
    frontends = " + ".join(
        frontend["name"] + (" (fine-tuned here)" if "finetuned" in frontend else "") for frontend in card["frontends"]
    )
    architecture = card["architecture"]
    clips = ", ".join(f"{count} {engine}" for engine, count in sorted(card["training"]["clips"].items()))
    lines = [
        f"# {card['phrase']}",
        "",
        f"- model: `{model}`, {kibibytes[model]} KiB, {frontends}, {architecture['members']} x {architecture['name']}",
        f"- phonemes: {card['phonemes']}",
        f"- trained on: {clips} clips; {card['training']['voices']['train']} voices",
        f"- licences: {'; '.join(card['training']['licences'])}; "
        + "; ".join(f"{frontend['name']} {frontend['licence']}" for frontend in card["frontends"]),
        *_sources(card["training"]),
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
        *(f"Note on the recordings: {note}" for note in card["training"]["notes"]),
        *(f"Note on {point['name']}: {point['note']}." for point in test["points"] if point["note"]),
        "",
        format_gate(metrics["gate"]).rstrip("\n"),
        *([f"\n{_int8_line(metrics['int8'], test, kibibytes)}"] if "int8" in metrics else []),
        "",
        format_confusables(metrics["confusables"]).rstrip("\n"),
    ]
    return "\n".join(lines) + "\n"


def _sources(training: dict[str, Any]) -> list[str]:
    """Where real training audio comes from, and features that the user had."""
    features = [f"{item['path']}, {item['licence']} ({item['pool']})" for item in training["features"]]
    had = [f"- features of your own: {'; '.join(features)}"] if features else []
    if not training["sources"]:
        return had
    named = (f"{item['source']}, {item['licence']} ({item['recordings']})" for item in training["sources"][:_SOURCES])
    more = len(training["sources"]) - _SOURCES
    return [f"- real recordings: {'; '.join(named)}" + (f"; {more} more, see attribution.md" if more > 0 else ""), *had]


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


def _int8_line(int8: dict[str, Any], test: dict[str, Any], kibibytes: Mapping[str, int]) -> str:
    """What the weights in 8 bits change, each model at its own threshold for the published budget."""
    name = f"set for {int8['budget_fa_per_hour']:g} per hour"
    theirs, ours = (next(p for p in report["points"] if p["name"] == name) for report in (int8["test"], test))
    changes = (
        f"{condition} {100 * rate['rate']:.1f} % instead of {100 * ours['misses'][condition]['rate']:.1f} %"
        for condition, rate in theirs["misses"].items()
    )
    heard = theirs["false_accepts"]["rate"], ours["false_accepts"]["rate"]
    return (
        f"`{int8['model']}`, {kibibytes[int8['model']]} KiB, weights in 8 bits, at its own threshold for "
        f"{int8['budget_fa_per_hour']:g} false accepts per hour, {theirs['threshold']:.4f}: missed, "
        f"{'; '.join(changes)}; {heard[0]:.2f} false accepts per hour instead of {heard[1]:.2f}."
    )


def format_gate(gate: dict[str, Any]) -> str:
    """What the gate passes, and how often it wakes the detector, as Markdown, a line end at the end.

    Args:
        gate: as `steps.gate.measure_gate` found it.
    """
    chosen, found = gate["calibration"]["passed"]["all"], gate["test"]
    basis = (
        "on the calibration recordings, of which the detector accepts none: it passes as many of all clips"
        if chosen is None
        else f"of what the detector accepts of the {chosen['total']:g} calibration clips: {_share(chosen)}. "
        f"{chosen['total']:g} clips tell it to 1 in {chosen['total']:g}"
    )
    return "\n".join(
        [
            f"Gate: its threshold, {gate['threshold']:.4f}, is the highest that passes 99.5 % {basis}.",
            "",
            "| test recordings | passed of what the detector accepts |",
            "|---|---|",
            *(
                f"| {name} | {'none accepted' if rate is None else _share(rate)} |"
                for name, rate in found["passed"].items()
            ),
            "",
            "| audio without the phrase | hours | gate open | detector runs |",
            "|---|---|---|---|",
            *(
                f"| {kind} | {duty['hours']:.2f} | {100 * duty['open']:.2f} % | {100 * duty['runs']:.2f} % |"
                for kind, duty in found["duty"].items()
            ),
            "",
        ]
    )


def format_confusables(found: dict[str, Any]) -> str:
    """What else is taken for the phrase, as Markdown, a line end at the end.

    Args:
        found: ``confusables`` of the stage evaluate.
    """
    groups = found["groups"]
    names = {"neighbours": "words and sounds like it", "parts": "parts of it"}
    tenths = sorted({tenth["from"] for group in groups.values() for tenth in group["tenths"]})
    cells = {
        (group, tenth["from"]): _share(tenth["accepted"]) for group, of in groups.items() for tenth in of["tenths"]
    }
    lines = [
        f"What else is taken for the phrase at threshold {found['threshold']:.4f}, in voices kept out of training:"
    ]
    if not groups:
        lines = ["Whether other words are taken for the phrase was not measured: none were spoken."]
    else:
        lines += [
            "",
            "| share of its sounds that are others | "
            + " | ".join(f"accepted, {names[group]}" for group in groups)
            + " |",
            "|---|" + "---|" * len(groups),
            *(
                f"| {tenth:.1f}-{tenth + 0.1:.1f} | "
                + " | ".join(cells.get((group, tenth), "") for group in groups)
                + " |"
                for tenth in tenths
            ),
        ]
    most = [row for group in groups.values() for row in group["most_accepted"]]
    if most:
        most.sort(key=lambda row: (-row["accepted"] / row["clips"], -row["distance"]))
        named = "; ".join(
            f"{row['text']} ({row['distance']:.2f}), {row['accepted']} of {row['clips']}" for row in most[:_SHOWN]
        )
        lines += ["", f"Accepted most, with how far they are from the phrase: {named}."]
    if found["keywords"]:
        lines += ["", "| real recordings of | how far from the phrase | accepted |", "|---|---|---|"]
        lines += [
            f"| {keyword['text']} | {keyword['distance']:.2f} | {_share(keyword['accepted'])} |"
            for keyword in found["keywords"]
        ]
    return "\n".join(lines) + "\n"


def _share(rate: dict[str, Any]) -> str:
    limits = f"{100 * rate['low']:.1f}-{100 * rate['high']:.1f}"
    return f"{100 * rate['rate']:.1f} % ({limits}), {rate['count']} of {rate['total']}"
