"""Licences and sources travel from a manifest to the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from steps.manifests import ManifestRow, write_manifest
from steps.provenance import describe_sources, describe_training, format_attribution, licence_warnings
from steps.recordings import RealSplit, Recording
from steps.report_card import format_report_card
from steps.settings import NpySource
from steps.stage import run_stage
from tests.steps.toy import workspace

SPOKEN = {"clips": {"espeak": 3}, "voices": {"train": ["a", "b"]}, "licences": ["GPL-3.0-or-later"]}


def recording(source: str, licence: str, split: RealSplit = "train", *, seconds: float = 36.0) -> Recording:
    return Recording(path="/a", kind="speech", split=split, speaker="", source=source, licence=licence, seconds=seconds)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("LibriSpeech (https://www.openslr.org/12)", "LibriSpeech (https://www.openslr.org/12)"),
        ("ESC-50 (https://a.b/c): rain, https://freesound.org/s/1", "ESC-50 (https://a.b/c)"),
        ("github:owner/name audio/alexa/0.flac", "github:owner/name"),
        ("Debian klettres-data 22.12.3 nb (letters)", "Debian klettres-data 22.12.3 nb (letters)"),
        ("recorded at home", "recorded at home"),
    ],
)
def test_a_corpus_is_a_line(source: str, shown: str) -> None:
    described = describe_sources([recording(source, "CC-BY-4.0")] * 2)
    assert described == [{"licence": "CC-BY-4.0", "source": shown, "recordings": 2, "hours": 0.02}]


def test_only_what_is_trained_on_is_named() -> None:
    recordings = [recording("here", "MIT"), recording("there", "CC-BY-NC-3.0", "test"), recording("x", "GPL", "test")]
    assert [item["source"] for item in describe_sources(recordings)] == ["here"]
    assert "there" not in format_attribution(recordings)
    assert format_attribution(recordings[1:]) == ""


def test_the_attribution_is_whole() -> None:
    recordings = [recording(f"ESC-50 (https://a.b): clip {i}", "CC-BY-3.0") for i in range(40)]
    text = format_attribution([*recordings, recording("here", "CC0-1.0")])
    assert text.count("- ESC-50 (https://a.b): clip ") == 40
    assert text.index("## CC-BY-3.0") < text.index("## CC0-1.0")


@pytest.mark.parametrize(
    ("licence", "bound"),
    [
        ("CC-BY-NC-3.0", True),
        ("CC BY-NC-SA 4.0", True),
        ("non-commercial use only", True),
        ("CC-BY-4.0", False),
        ("NCSA", False),
        ("Public domain", False),
    ],
)
def test_what_must_not_be_sold_is_said(licence: str, bound: bool) -> None:
    told = licence_warnings([licence, "MIT"], things="takes")
    assert bool(told) == bound
    assert not bound or told == [f"1 takes may not be used commercially ({licence})."]


def test_nobody_states_a_licence() -> None:
    assert "licence of 1 takes" in licence_warnings(["not stated"], things="takes")[0]


def test_from_the_manifest_to_the_card_and_the_report(tmp_path: Path) -> None:
    rows = []
    facts = [
        ("ESC-50, K. J. Piczak (https://a.b): rain", "CC-BY-NC-3.0", "noise"),
        ("LibriSpeech", "CC-BY-4.0", "speech"),
    ]
    for number, (source, licence, kind) in enumerate(facts):
        path = tmp_path / "real" / f"{number}.flac"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(number).integers(-99, 99, 1_600, dtype=np.int16), 16_000)
        rows.append(ManifestRow(path=path, source=source, licence=licence, kind=kind, speaker="", seconds=0.1))
    write_manifest(rows, tmp_path / "real" / "m.csv")
    split = {"train": 1.0, "calibration": 0.0, "test": 0.0}
    root = workspace(tmp_path / "w", {"corpus": {"real": str(tmp_path / "real" / "m.csv"), "split": split}}, each=1)
    run_stage("corpus", root=root)
    clips, corpus = root / "artifacts" / "synthesize", root / "artifacts" / "corpus"
    (clips / "summary.json").write_text(json.dumps(SPOKEN))
    mine = NpySource(path="more.npy", frontend="speech_embedding", pool="noise", licence="not stated")
    training = describe_training(clips=clips, corpus=corpus, features=[mine])
    assert training["licences"] == ["CC-BY-4.0", "CC-BY-NC-3.0", "GPL-3.0-or-later", "not stated"]
    assert [item["source"] for item in training["sources"]] == ["LibriSpeech", "ESC-50, K. J. Piczak (https://a.b)"]
    assert training["notes"] == [
        "1 training recordings may not be used commercially (CC-BY-NC-3.0).",
        "Nobody states the licence of 1 files of features: see that you may use them.",
    ]
    assert set(training["real_hours"]) == {"noise", "speech"}
    assert "- ESC-50, K. J. Piczak (https://a.b): rain" in (corpus / "attribution.md").read_text()
    report = format_report_card(card(training), METRICS, model="hey_nano.onnx", kibibytes={"hey_nano.onnx": 1})
    assert (
        "- real recordings: LibriSpeech, CC-BY-4.0 (1); ESC-50, K. J. Piczak (https://a.b), CC-BY-NC-3.0 (1)\n"
        in report
    )
    assert "- features of your own: more.npy, not stated (noise)\n" in report
    assert "Note on the recordings: 1 training recordings may not be used commercially" in report


def test_many_sources_are_cut_in_the_report_and_named_in_the_attribution() -> None:
    sources = describe_sources([recording(f"source {i:02d}", "CC-BY-4.0") for i in range(20)])
    training = {"clips": {}, "voices": {"train": 0}, "licences": [], "sources": sources, "features": [], "notes": []}
    report = format_report_card(card(training), METRICS, model="m.onnx", kibibytes={"m.onnx": 1})
    assert "source 07" in report
    assert "source 08" not in report
    assert "; 12 more, see attribution.md" in report
    assert "real recordings" not in format_report_card(
        card({**training, "sources": []}), METRICS, model="m.onnx", kibibytes={"m.onnx": 1}
    )


def card(training: dict[str, Any]) -> dict[str, Any]:
    return {
        "phrase": "hey nano",
        "phonemes": "",
        "frontends": [{"name": "logmel", "licence": "MIT"}],
        "architecture": {"name": "tcn", "members": 1},
        "training": training,
    }


POINT = {"name": "0.5 per hour", "threshold": 0.5, "budget_fa_per_hour": 0.5, "misses": {}, "note": ""}
METRICS: dict[str, Any] = {
    "statement": "Measured.",
    "test": {"points": [POINT], "positives": 1, "hours": 1.0, "confidence": 0.95},
    "gate": {
        "threshold": 0.5,
        "calibration": {"passed": {"all": None}},
        "test": {"passed": {"all": None}, "duty": {"all": {"hours": 1.0, "open": 0.1, "runs": 0.2}}},
    },
    "confusables": {"threshold": 0.5, "groups": {}, "keywords": []},
}
