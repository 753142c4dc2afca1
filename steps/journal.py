"""The training journal: every published run, with what it was made by and how it did.

``journal.jsonl`` keeps the entries, ``journal.md`` shows them. Both lie in the workspace beside the settings and are
only ever added to. An entry has ``time``, ``git_commit``, ``settings``, ``positives``, ``negatives``, ``hours``,
``points`` (misses and false accepts with their limits), ``training`` (the figures of the stage train), ``automatic``
(settings that were derived, and why), ``data`` (windows by split and form, what was measured of them, hashes of what
the stages made), ``seconds`` of each stage, and ``packages``; the oldest entries lack the last five. ``finetuning`` is
in those alone of which front ends were tuned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from nanowakeword.errors import StorageError
from steps.derived import DERIVING, read_derived
from steps.journal_comparison import format_journal
from steps.settings import Settings
from steps.stage import STAGES, stage_seconds

__all__ = ["add_entry", "read_entries"]

_PACKAGES: Final = ("torch", "numpy", "onnx", "onnxruntime", "dvc")


def add_entry(root: Path, settings: Settings, metrics: Mapping[str, Any], *, git_commit: str | None) -> None:
    """Add a run.

    Args:
        root: the workspace, with what the stages made.
        settings: of the run.
        metrics: of the stage evaluate.
        git_commit: of the code.
    """
    points = [point for point in metrics["test"]["points"] if point["budget_fa_per_hour"] is None]
    summary = _json(root / STAGES["augment"].out / "summary.json")
    tuning = _json(root / STAGES["finetune"].out / "finetuning.json")
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit,
        "settings": settings.model_dump(mode="json"),
        "positives": metrics["positives"],
        "negatives": metrics["negatives"],
        "hours": metrics["test"]["hours"],
        "points": points,
        "training": _json(root / STAGES["train"].out / "report.json"),
        **({"finetuning": tuning} if tuning else {}),
        "automatic": read_derived(*(root / STAGES[name].out for name in DERIVING)),
        "data": {
            "windows": summary.get("windows", {}),
            "measured": summary.get("measured", {}),
            "hashes": _hashes(root / "dvc.lock"),
        },
        "seconds": stage_seconds(root),
        "packages": {package: version(package) for package in _PACKAGES},
    }
    entries = [*read_entries(root), entry]
    _replace(root / "journal.jsonl", "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in entries))
    _replace(root / "journal.md", format_journal(entries))


def read_entries(root: Path) -> list[dict[str, Any]]:
    """The entries of a workspace, oldest first.

    Raises:
        StorageError: a line of the journal is damaged.
    """
    path = root / "journal.jsonl"
    if not path.exists():
        return []
    entries = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            entries.append(json.loads(line))
        except ValueError:
            raise StorageError(f"{path}, line {number}, is damaged", hint="Delete that line") from None
    return entries


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _hashes(lock: Path) -> dict[str, str]:
    """Hash of what each finished stage made, as DVC knows it; none where DVC did not run the stages."""
    if not lock.is_file():
        return {}
    stages = YAML(typ="safe", pure=True).load(lock.read_text("utf-8")).get("stages", {})
    return {name: stage["outs"][0]["md5"] for name, stage in stages.items() if stage.get("outs")}


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(path.suffix + ".writing")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
