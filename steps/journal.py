"""The training journal: every published run, with what it was made by and how it did.

``journal.jsonl`` keeps the entries, ``journal.md`` shows them. Both lie in the workspace beside the settings and are
only ever added to.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steps.settings import Settings

__all__ = ["add_entry"]


def add_entry(root: Path, settings: Settings, metrics: dict[str, Any], *, git_commit: str | None) -> None:
    """Add a run.

    Args:
        root: the workspace.
        settings: of the run.
        metrics: of the stage evaluate.
        git_commit: of the code.
    """
    points = [point for point in metrics["test"]["points"] if point["budget_fa_per_hour"] is None]
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit,
        "settings": settings.model_dump(mode="json"),
        "positives": metrics["positives"],
        "negatives": metrics["negatives"],
        "hours": metrics["test"]["hours"],
        "points": points,
    }
    path = root / "journal.jsonl"
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    entries.append(entry)
    _replace(path, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in entries))
    _replace(root / "journal.md", _page(entries))


def _page(entries: list[dict[str, Any]]) -> str:
    lines = ["# Training journal", ""]
    before: dict[str, Any] = {}
    for number, entry in enumerate(entries, start=1):
        settings = _flat(entry["settings"])
        changed = [
            f"`{key}`: {before[key]} -> {value}"
            for key, value in settings.items()
            if key in before and before[key] != value
        ]
        lines += [f"## {number}. {settings['wakeword.phrase']}, {entry['time']}", ""]
        lines += [f"Measured on {entry['positives']} and {entry['negatives']}, {entry['hours']:.2f} h.", ""]
        lines += ["Changed: " + ("; ".join(changed) or "nothing"), ""] if before else []
        for point in entry["points"]:
            misses = ", ".join(f"{name} {100 * rate['rate']:.1f} %" for name, rate in point["misses"].items())
            lines.append(
                f"- {point['name']}: {point['false_accepts']['rate']:.2f} false accepts per hour, missed {misses}"
            )
        lines.append("")
        before = settings
    return "\n".join(lines)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(path.suffix + ".writing")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
