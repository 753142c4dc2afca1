"""Runs of a journal beside each other: what was changed, and which change went with which gain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from scipy.stats import fisher_exact

from steps.effective_settings import flatten

__all__ = ["compare_runs", "find_gains", "format_gains", "format_journal"]

_LIKELY: Final = 0.05
_LONG: Final = 6

Entry = Mapping[str, Any]


def compare_runs(before: Entry, after: Entry) -> dict[str, Any]:
    """What changed from one run to another, and what came of it.

    Returns:
        ``changed``: setting -> old and new value; ``comparable``: whether both were measured on the same recordings;
        ``misses``: by condition, at the published threshold, ``before``, ``after`` and ``p``, the chance of so large a
        difference between equal models (Fisher's exact test; that the same clips were heard twice is not used);
        ``false_accepts_per_hour``: before and after.
    """
    old, new = flatten(before["settings"]), flatten(after["settings"])
    changed = {
        key: [old.get(key), new.get(key)]
        for key in {**old, **new}
        if key in old and key in new and old[key] != new[key]
    }
    first, second = _point(before), _point(after)
    misses = {
        name: {
            "before": rate["rate"],
            "after": second["misses"][name]["rate"],
            "p": _chance(rate, second["misses"][name]),
        }
        for name, rate in first["misses"].items()
        if name in second["misses"]
    }
    return {
        "changed": changed,
        "comparable": _measured_on(before) == _measured_on(after),
        "misses": misses,
        "false_accepts_per_hour": [first["false_accepts"]["rate"], second["false_accepts"]["rate"]],
    }


def find_gains(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each setting that differs between two comparable runs, with what went with it.

    Runs that differ in nothing else come first, then those with the fewest other changes: there, any of them may be
    the cause.

    Returns:
        ``setting``, ``values`` (old, new), ``runs`` (their numbers, from 1), ``also_changed``, and as `compare_runs`
        ``misses`` and ``false_accepts_per_hour``.
    """
    found = []
    for (i, before), (j, after) in combinations(enumerate(entries, start=1), 2):
        result = compare_runs(before, after)
        if not result["comparable"]:
            continue
        for setting, values in result["changed"].items():
            found.append(
                {
                    "setting": setting,
                    "values": values,
                    "runs": [i, j],
                    "also_changed": sorted(set(result["changed"]) - {setting}),
                    "misses": result["misses"],
                    "false_accepts_per_hour": result["false_accepts_per_hour"],
                }
            )
    return sorted(found, key=lambda gain: (len(gain["also_changed"]), gain["setting"], gain["runs"]))


def format_gains(gains: Sequence[Mapping[str, Any]]) -> str:
    """Gains as a Markdown table."""
    if not gains:
        return "No two runs of this journal differ in a setting and were measured on the same recordings.\n"
    conditions = list(gains[0]["misses"])
    lines = [
        "| setting | runs | also changed | " + " | ".join(f"missed, {name}" for name in conditions) + " | FA/h |",
        "|---|---|---|" + "---|" * (len(conditions) + 1),
    ]
    for gain in gains:
        old, new = (json.dumps(value, ensure_ascii=False) for value in gain["values"])
        hourly = " -> ".join(f"{rate:.2f}" for rate in gain["false_accepts_per_hour"])
        others = ", ".join(gain["also_changed"][:_LONG]) + (" ..." if len(gain["also_changed"]) > _LONG else "")
        cells = " | ".join(_change(gain["misses"][name]) if name in gain["misses"] else "" for name in conditions)
        runs = " -> ".join(map(str, gain["runs"]))
        lines.append(f"| `{gain['setting']}`: {old} -> {new} | {runs} | {others or 'nothing'} | {cells} | {hourly} |")
    return "\n".join(lines) + "\n"


def format_journal(entries: Sequence[Entry]) -> str:
    """The whole journal as Markdown: the runs, and what went with what."""
    lines = ["# Training journal", ""]
    for number, entry in enumerate(entries, start=1):
        before = compare_runs(entries[number - 2], entry)["changed"] if number > 1 else None
        lines += [*_run_lines(number, entry, before), ""]
    return "\n".join([*lines, "## Which setting went with which gain", "", format_gains(find_gains(entries))])


def _run_lines(number: int, entry: Entry, changed: Mapping[str, Any] | None) -> list[str]:
    settings = flatten(entry["settings"])
    lines = [
        f"## {number}. {settings['wakeword.phrase']}, {entry['time']}",
        "",
        f"Measured on {entry['positives']} with the phrase and {entry['hours']:.2f} h of {entry['negatives']} without.",
        f"Seed {settings['seed']}, code {(entry['git_commit'] or 'unknown')[:10]}.",
    ]
    if changed is not None:
        told = (f"`{key}`: {old} -> {new}" for key, (old, new) in changed.items())
        lines += ["", "Changed: " + ("; ".join(told) or "nothing")]
    lines.append("")
    for point in entry["points"]:
        misses = ", ".join(f"{name} {_limits(rate, 100)} %" for name, rate in point["misses"].items())
        hourly = _limits(point["false_accepts"], 1)
        lines.append(f"- {point['name']}: {hourly} false accepts per hour, missed {misses}")
    for name, of in entry.get("training", {}).items():
        lines.append(
            f"- trained {name}: {of['steps']} steps, stable loss {of['stable_loss']:.4f}, margin {of['margin']:.2f}, "
            f"validation miss {100 * of['miss_rate']:.1f} % at {of['fa_per_hour']:g} per hour"
        )
    for name, of in entry.get("automatic", {}).items():
        lines.append(f"- automatic `{name}`: {of['value']}, {of['reason']}")
    if seconds := entry.get("seconds"):
        lines.append("- took " + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()))
    if windows := entry.get("data", {}).get("windows"):
        counts = (f"{split} {sum(forms.values())}" for split, forms in windows.items())
        lines.append(f"- windows: {', '.join(counts)}")
    return lines


def _point(entry: Entry) -> Mapping[str, Any]:
    """The published operating point."""
    budget = entry["settings"]["publish"]["budget_fa_per_hour"]
    points: list[Mapping[str, Any]] = entry["points"]
    return next((point for point in points if point["name"] == f"set for {budget:g} per hour"), points[0])


def _measured_on(entry: Entry) -> tuple[Any, ...]:
    """What two runs have in common that were measured on the same recordings."""
    point = _point(entry)
    totals = sorted((name, rate["total"]) for name, rate in point["misses"].items())
    settings = entry["settings"]
    return settings["wakeword"]["phrase"], entry["positives"], entry["negatives"], entry["hours"], point["name"], totals


def _chance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    table = [[int(rate["count"]), int(rate["total"]) - int(rate["count"])] for rate in (one, other)]
    return float(fisher_exact(table).pvalue)


def _change(miss: Mapping[str, float]) -> str:
    said = "" if miss["p"] < _LIKELY else ", within chance"
    return f"{100 * miss['before']:.1f} -> {100 * miss['after']:.1f} % (p {miss['p']:.2g}{said})"


def _limits(rate: Mapping[str, float], scale: float) -> str:
    digits = 1 if scale > 1 else 2
    low, high = (f"{scale * rate[key]:.{digits}f}" for key in ("low", "high"))
    return f"{scale * rate['rate']:.{digits}f} ({low}-{high})"
