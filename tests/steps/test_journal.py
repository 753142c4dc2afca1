"""The journal keeps every run, says what changed, and what went with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanowakeword.errors import StorageError
from steps.__main__ import main
from steps.journal import add_entry, read_entries
from steps.journal_comparison import compare_runs, find_gains, format_gains
from steps.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]


def metrics(missed: int, *, hours: float = 4.0) -> dict[str, Any]:
    rate = {"rate": missed / 200, "low": 0.0, "high": 1.0, "count": missed, "total": 200}
    heard = {"rate": 0.25, "low": 0.01, "high": 1.4, "count": 1, "total": hours}
    points = [
        {"name": f"set for {budget:g} per hour", "budget_fa_per_hour": None, "false_accepts": heard, "misses": misses}
        for budget, misses in ((0.1, {"clean": {**rate, "count": 200, "rate": 1.0}}), (0.5, {"clean": rate}))
    ]
    return {"positives": "real speech", "negatives": "real speech", "test": {"hours": hours, "points": points}}


def settings(**train: Any) -> Settings:
    tree = load_settings(ROOT / "params.yaml")
    return tree.model_copy(update={"train": tree.train.model_copy(update={"steps": 600, **train})})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Four runs: more steps helped much; then two changes together; then another test set."""
    for folder, facts in (
        (
            "train/report.json",
            {"gru": {"steps": 9, "stable_loss": 0.1, "margin": 5.5, "miss_rate": 0.2, "fa_per_hour": 4.0}},
        ),
        (
            "augment/summary.json",
            {"windows": {"train": {"phrase": 30, "noise": 12}}, "left_out": 0, "measured": {"train": {"clips": 15}}},
        ),
        ("augment/automatic.json", {"augment.copies": {"value": 2, "reason": "15 clips of the phrase"}}),
        ("train/automatic.json", {"train.learning_rate_max": {"value": 0.002, "reason": "batches of 192 rows"}}),
    ):
        path = tmp_path / "artifacts" / folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts))
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  train:\n    outs:\n    - path: artifacts/train\n      md5: abc.dir\n"
    )
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "seconds.json").write_text('{"train": 12.5, "phrases": 3.0}')
    add_entry(tmp_path, settings(), metrics(60), git_commit="abc")
    add_entry(tmp_path, settings(steps=900), metrics(20), git_commit=None)
    add_entry(tmp_path, settings(steps=900, members=1, focal_gamma=2.0), metrics(22), git_commit=None)
    add_entry(tmp_path, settings(members=1), metrics(1, hours=5.0), git_commit=None)
    return tmp_path


def test_runs_are_added_and_their_changes_told(workspace: Path) -> None:
    entries = read_entries(workspace)
    assert [entry["settings"]["train"]["steps"] for entry in entries] == [600, 900, 900, 600]
    assert entries[0]["training"]["gru"]["margin"] == 5.5
    assert entries[0]["data"] == {
        "windows": {"train": {"phrase": 30, "noise": 12}},
        "measured": {"train": {"clips": 15}},
        "hashes": {"train": "abc.dir"},
    }
    assert list(entries[0]["automatic"]) == ["augment.copies", "train.learning_rate_max"]
    assert entries[0]["automatic"]["augment.copies"]["value"] == 2
    assert entries[0]["seconds"] == {"phrases": 3.0, "train": 12.5}
    assert set(entries[0]["packages"]) >= {"torch", "numpy"}
    page = (workspace / "journal.md").read_text()
    assert "## 1. hey nano" in page
    assert "Measured on real speech with the phrase and 4.00 h of real speech without.\n" in page
    assert "Changed: `train.steps`: 600 -> 900\n" in page
    assert "missed clean 30.0 (0.0-100.0) %" in page
    assert "- took phrases 3 s, train 12 s" in page
    assert "- windows: train 42" in page
    assert "- automatic `augment.copies`: 2, 15 clips of the phrase\n" in page
    assert not list(workspace.glob("*.writing"))


def test_a_gain_is_that_of_the_published_threshold_with_its_chance(workspace: Path) -> None:
    entries = read_entries(workspace)
    result = compare_runs(entries[0], entries[1])
    assert result["changed"] == {"train.steps": [600, 900]}
    miss = result["misses"]["clean"]
    assert (miss["before"], miss["after"]) == (0.3, 0.1)
    assert miss["p"] < 1e-5
    assert compare_runs(entries[1], entries[2])["misses"]["clean"]["p"] > 0.5


def test_changes_alone_come_first_and_other_recordings_are_not_compared(workspace: Path) -> None:
    gains = find_gains(read_entries(workspace))
    assert gains[0]["setting"] == "train.steps"
    assert gains[0]["runs"] == [1, 2]
    assert gains[0]["also_changed"] == []
    assert {tuple(gain["runs"]) for gain in gains} == {(1, 2), (2, 3), (1, 3)}
    together = [gain for gain in gains if gain["runs"] == [2, 3]]
    assert [(gain["setting"], gain["also_changed"]) for gain in together] == [
        ("train.focal_gamma", ["train.members"]),
        ("train.members", ["train.focal_gamma"]),
    ]
    text = format_gains(gains)
    assert "| `train.steps`: 600 -> 900 | 1 -> 2 | nothing | 30.0 -> 10.0 % (p " in text
    assert "10.0 -> 11.0 % (p 0.87, within chance)" in text


def test_the_command_shows_compares_and_gives_json(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", str(workspace)]) == 0
    assert "## Which setting went with which gain" in capsys.readouterr().out
    assert main(["journal", str(workspace), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["runs"]) == 4
    assert told["gains"][0]["setting"] == "train.steps"
    assert main(["journal", str(workspace), "--compare", "2", "3"]) == 0
    assert "| `train.members`: 3 -> 1 | 2 -> 3 | train.focal_gamma |" in capsys.readouterr().out
    assert main(["journal", str(workspace), "--compare", "3", "4"]) == 0
    assert "not measured on the same recordings" in capsys.readouterr().out
    assert main(["journal", str(workspace), "--compare", "1", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == {"train.steps": [600, 900]}


def test_what_cannot_be_shown_is_said(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["journal", str(workspace), "--compare", "1", "9"]) == 1
    assert "got run 9; expected runs from 1 to 4" in capsys.readouterr().err
    assert main(["journal", str(tmp_path_factory.mktemp("empty"))]) == 1
    assert "no run has been published here" in capsys.readouterr().err
    with (workspace / "journal.jsonl").open("a") as stream:
        stream.write('{"half": ')
    with pytest.raises(StorageError, match="line 5, is damaged"):
        read_entries(workspace)


def test_entries_of_older_versions_are_still_read(workspace: Path) -> None:
    old = [
        {key: value for key, value in entry.items() if key not in {"training", "data", "seconds", "packages"}}
        for entry in read_entries(workspace)
    ]
    (workspace / "journal.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in old))
    add_entry(workspace, settings(steps=100), metrics(3), git_commit=None)
    assert len(read_entries(workspace)) == 5
    assert "## 5. hey nano" in (workspace / "journal.md").read_text()
