"""Ten recordings of the owner's go through the whole pipeline: trained on, tested on apart, named in card and report.

All stages in this process and as small as they can be: that they fit together is tested, not how good the model is.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from nanowakeword import Graph
from steps.recordings import load_recordings
from steps.stage import STAGES, run_stage
from steps.workspace import prepare_workspace

OPTIONS = [
    "phrases.sentences=60",
    "synthesize.engines={espeak: 1.0}",
    "synthesize.workers=1",
    "augment.workers=1",
    "features.workers=1",
    "synthesize.drop_share=0.0",
    "synthesize.positives=64",
    "synthesize.partials=8",
    "synthesize.neighbours=8",
    "synthesize.negatives=48",
    "synthesize.evaluation_neighbours=4",
    "synthesize.evaluation_hours=0.01",
    "augment.copies=4",
    "augment.recording_copies=5",
    "augment.negatives=48",
    "augment.noise=16",
    "augment.rooms=2",
    "features.frontends=[logmel]",
    "train.members=1",
    "train.layer_size=8",
    "train.steps=10",
    "train.checkpoint_every_steps=5",
    "distill.layer_size=8",
    "distill.steps=10",
]


@pytest.fixture(scope="module")
def material(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten real recordings of "alexa" in a folder, and a manifest of real noise under licences that ask to be named."""
    folder = tmp_path_factory.mktemp("own") / "material"
    with (real_data / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    (folder / "me").mkdir(parents=True)
    for row in [row for row in rows if row["kind"] == "keyword:alexa"][:10]:
        shutil.copyfile(real_data / row["path"], folder / "me" / Path(row["path"]).name)
    noise = [row for row in rows if row["kind"] == "noise" and row["licence"] == "CC-BY-3.0"][:4]
    with (folder / "noise.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows({**row, "path": str(real_data / row["path"])} for row in noise)
    return folder


@pytest.fixture(scope="module")
def made(material: Path) -> Path:
    """A workspace in which every stage has run."""
    folder = material.parent / "workspace"
    own = [f"corpus.positive_data_path={material / 'me'}", f"corpus.real={material / 'noise.csv'}"]
    split = ["corpus.split={train: 1.0, calibration: 0.0, test: 0.0}"]
    prepare_workspace(folder, phrase="alexa", options=[*OPTIONS, *own, *split])
    for stage in STAGES:
        run_stage(stage, root=folder)
    return folder


def test_they_are_shared_out_and_trained_on(made: Path) -> None:
    recordings = load_recordings(made / "artifacts" / "corpus")
    own = {recording.path: recording.split for recording in recordings if recording.is_of("alexa")}
    assert sum(split == "train" for split in own.values()) in {5, 6, 7}
    recipes = (made / "artifacts" / "augment" / "recipes.jsonl").read_text("utf-8").splitlines()
    rendered = Counter(
        voice["recording"]
        for recipe in map(json.loads, recipes)
        if recipe["form"] == "phrase"
        for voice in recipe["voices"]
        if "recording" in voice
    )
    trained = {path for path, split in own.items() if split == "train"}
    # One in which the phrase is said longer than a window may be left out, and counted.
    assert set(rendered.values()) == {5}
    assert trained >= set(rendered)
    summary = json.loads((made / "artifacts" / "augment" / "summary.json").read_text("utf-8"))
    assert len(trained) - len(rendered) <= summary["left_out"] <= 1


def test_they_are_tested_on_with_synthetic_voices_beside_them(made: Path) -> None:
    metrics = json.loads((made / "output" / "metrics.json").read_text("utf-8"))
    own = [one.split for one in load_recordings(made / "artifacts" / "corpus") if one.is_of("alexa")]
    assert metrics["positives"] == "real and synthetic speech"
    assert f"on {own.count('test')} real recordings of the phrase" in metrics["statement"]


def test_card_and_report_name_what_was_trained_on(made: Path) -> None:
    training = Graph.load(made / "output" / "alexa.onnx").card.content["training"]
    assert "CC-BY-3.0" in training["licences"]
    assert {source["licence"] for source in training["sources"]} == {"CC-BY-3.0", "not stated"}
    assert "the owner's folder me" in {source["source"] for source in training["sources"]}
    report = (made / "output" / "report.md").read_text("utf-8")
    assert "Note on the recordings: Of your 10 recordings of the phrase" in report
    assert "- real recordings: " in report
    attribution = (made / "output" / "attribution.md").read_text("utf-8")
    assert "## CC-BY-3.0" in attribution
    for path in (path for path in (made / "output").iterdir() if path.suffix in {".onnx", ".md"}):
        assert str(made.parent).encode() not in path.read_bytes(), path.name
