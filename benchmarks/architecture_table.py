"""The table of ``benchmarks/architectures.py``: as Markdown, and drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.architecture_costs import PEER_BATCH
from benchmarks.misses import PEOPLE
from nanowakeword.evaluation.limits import share

__all__ = ["format_table", "plot_table"]

SPLIT: Final = "test"
Row = tuple[str, str]  # front end, architecture
_NOT_YET: Final = "-"


def format_table(folders: Mapping[Row, Path], *, title: str) -> str:
    """A table for each front end, fewest misses first.

    Args:
        folders: of each row, with ``result.json`` and ``costs.json`` where these are done.
        title: the budget, in a line.
    """
    lines = [f"{title}; missed on the {SPLIT} recordings at the published budget, in brackets exact limits, 95 %.", ""]
    for frontend in dict.fromkeys(frontend for frontend, _ in folders):
        rows = {name: _read(folder) for (front, name), folder in folders.items() if front == frontend}
        done = sorted((name for name in rows if "missed" in rows[name]), key=lambda name: missed(rows[name]))
        titles = ["parameters", "MMAC/s", "ms per 80 ms", "of it the head", "steps/s: 1, 2 threads"]
        titles += [f"missed, {condition}" for condition in PEOPLE]
        lines += [f"| `{frontend}` | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
        lines += [f"| `{name}` | {' | '.join(_cells(rows[name]))} |" for name in done]
        if left := [name for name in rows if name not in done]:
            lines += ["", f"Not done: {', '.join(left)}."]
        if "steps_per_s" in rows.get("dnn", {}):
            rates = rows["dnn"]["steps_per_s"][str(PEER_BATCH)]
            lines += ["", f"`dnn` with {PEER_BATCH} rows a step: {rates[0]:.0f}, {rates[1]:.0f} steps/s."]
        lines.append("")
    return "\n".join(lines)


def plot_table(folders: Mapping[Row, Path], path: Path) -> None:
    """Draw misses over cost, a panel for each front end."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    frontends = list(dict.fromkeys(frontend for frontend, _ in folders))
    figure, panels = plt.subplots(
        1, len(frontends), figsize=(5 * len(frontends), 4.5), layout="constrained", sharey=True, squeeze=False
    )
    for frontend, axes in zip(frontends, panels[0], strict=True):
        for (front, name), folder in folders.items():
            row = _read(folder)
            if front != frontend or "missed" not in row or "ms" not in row:
                continue
            axes.plot(row["ms"], 100 * missed(row), "o", color="tab:blue")
            axes.annotate(name, (row["ms"], 100 * missed(row)), xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.set_title(frontend)
        axes.set_xlabel("ms per 80 ms of audio, front end and head")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel(f"missed, mean of {' and '.join(PEOPLE)}, %")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def missed(row: Mapping[str, Any]) -> float:
    """Mean share over the conditions."""
    found = [row["missed"][SPLIT][name] for name in PEOPLE]
    return sum(float(sum(hits)) / len(hits) for hits in found) / len(found)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [f"{row['parameters']:,}", f"{row['macs_per_s'] / 1e6:.2f}"]
    if "ms" in row:
        one, two = row["steps_per_s"][str(row["batch"])]
        cells += [f"{row['ms']:.3f}", f"{row['head_ms']:.3f}", f"{one:.1f}, {two:.1f}"]
    else:
        cells += [_NOT_YET] * 3
    for condition in PEOPLE:
        clips = row["missed"][SPLIT][condition]
        rate = share(sum(clips), len(clips))
        cells.append(f"{100 * rate.rate:.1f} % ({100 * rate.low:.1f}-{100 * rate.high:.1f})")
    return cells


def _read(folder: Path) -> dict[str, Any]:
    """What is known of a row."""
    found: dict[str, Any] = {}
    for file in ("result.json", "costs.json"):
        if (folder / file).is_file():
            found |= json.loads((folder / file).read_text("utf-8"))
    return found
