"""What is measured on is of the right split, and the report says what it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nanowakeword.errors import ConfigError
from steps.clippack import Clip, Kind, Split, write_clips
from steps.material import find_material


def clip(kind: Kind, split: Split) -> tuple[Clip, np.ndarray]:
    facts = Clip(
        kind=kind, text=kind, engine="e", voice=f"v {split}", split=split, speed=1.0, licence="CC0-1.0", n_samples=4
    )
    return facts, np.arange(4, dtype=np.int16)


def recording(kind: str, split: str) -> dict[str, object]:
    return {
        "path": f"/{split}/{kind}.flac",
        "kind": kind,
        "split": split,
        "speaker": "",
        "source": "s",
        "licence": "CC0-1.0",
        "seconds": 1_800.0,
    }


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    clips, corpus = tmp_path / "clips", tmp_path / "corpus"
    clips.mkdir()
    corpus.mkdir()
    kinds: tuple[Kind, ...] = ("positive", "partial", "negative")
    splits: tuple[Split, ...] = ("train", "calibration", "test")
    write_clips(clips, [clip(kind, split) for kind in kinds for split in splits])
    (corpus / "recordings.jsonl").write_text("")
    return clips, corpus


def add_real(corpus: Path, *kinds: str, each: int = 1, seconds: float = 1_800.0) -> None:
    rows = [recording(kind, split) for kind in kinds for split in ("train", "calibration", "test")]
    rows = [{**row, "seconds": seconds} for row in rows for _ in range(each)]
    (corpus / "recordings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_without_real_recordings_it_says_so(folders: tuple[Path, Path]) -> None:
    material = find_material("test", phrase="hey nano", clips=folders[0], corpus=folders[1])
    assert [item.name for item in material.positives] == ["clip 2, e v test: positive"]
    assert {item.name.split(": ")[1] for item in material.negatives} == {"negative", "partial"}
    assert all("v test" in item.name for item in material.negatives)
    assert "There were no real recordings" in material.statement


def test_real_negatives_alone(folders: tuple[Path, Path]) -> None:
    add_real(folders[1], "speech", "noise", "rir", "keyword:other")
    material = find_material("calibration", phrase="hey nano", clips=folders[0], corpus=folders[1])
    assert [item.name for item in material.negatives] == [
        "/calibration/speech.flac",
        "/calibration/noise.flac",
        "/calibration/keyword:other.flac",
    ]
    assert [item.name for item in material.talkers] == ["/calibration/speech.flac"]
    assert material.keywords == {"other": [2]}
    assert "no real recordings of the phrase" in material.statement


def test_all_real(folders: tuple[Path, Path]) -> None:
    add_real(folders[1], "speech", "keyword:Hey Nano", each=20)
    material = find_material("test", phrase="hey nano", clips=folders[0], corpus=folders[1])
    assert [item.name for item in material.positives] == ["/test/keyword:Hey Nano.flac"] * 20
    assert material.statement == "Measured on real recordings of the phrase and on real recordings without it."


def test_few_real_ones_do_not_stand_alone(folders: tuple[Path, Path]) -> None:
    add_real(folders[1], "speech", "keyword:hey nano", each=3, seconds=60.0)
    material = find_material("test", phrase="hey nano", clips=folders[0], corpus=folders[1])
    assert [item.name for item in material.positives][2:] == [
        "/test/keyword:hey nano.flac",
        "clip 2, e v test: positive",
    ]
    assert len(material.negatives) == 3 + 2
    assert len(material.talkers) == 3 + 1
    assert material.positives_basis == material.negatives_basis == "real and synthetic speech"
    assert "on 3 real recordings of the phrase, too few to stand alone" in material.statement
    assert "There was little real speech" in material.statement


def test_the_phrase_alone(folders: tuple[Path, Path]) -> None:
    add_real(folders[1], "keyword:hey nano", each=30)
    material = find_material("test", phrase="hey nano", clips=folders[0], corpus=folders[1])
    assert len(material.positives) == 30
    assert {item.name.split(": ")[1] for item in material.negatives} == {"negative", "partial"}
    assert material.statement == (
        "There was no real speech: false accepts are measured on synthetic voices; expect more of them. "
        "Misses are measured on real recordings of the phrase."
    )


def test_noise_is_no_speech(folders: tuple[Path, Path]) -> None:
    add_real(folders[1], "noise", each=3)
    material = find_material("test", phrase="hey nano", clips=folders[0], corpus=folders[1])
    assert len(material.negatives) == 3 + 2
    assert material.negatives_basis == "synthetic speech"


def test_nothing_to_measure_on(folders: tuple[Path, Path]) -> None:
    write_clips(folders[0], [clip("positive", "test")])
    with pytest.raises(ConfigError, match="0 others"):
        find_material("test", phrase="hey nano", clips=folders[0], corpus=folders[1])
