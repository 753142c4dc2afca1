"""Windows can be listed, exported as they were trained on, and heard without one of their augmentations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from steps.__main__ import main
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import ClipPack
from steps.stage import run_stage
from steps.store import RowReader
from steps.windows import FORMS
from tests.steps.toy import workspace

SMALL = {"copies": 2, "negatives": 24, "noise": 4, "workers": 1, "window_s": 2.0, "rooms": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = workspace(tmp_path_factory.mktemp("clips"), {"augment": SMALL}, neighbours=True)
    run_stage("augment", root=root)
    return root


def listed(made: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    assert main(["clips", str(made), *options]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_told_in_words(made: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    lines = listed(made, capsys, "--form", form, "--count", "2")
    heads = [line for line in lines if not line.startswith(" ")]
    assert 1 <= len(heads) <= 2
    assert all(head.startswith("train ") for head in heads)
    if form in {"phrase", "partial", "neighbour", "ending"}:
        assert "'hey nano', toy train" in lines[1]
        assert " s" in heads[0]


def test_what_is_exported_is_what_was_trained_on(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = listed(made, capsys, "--form", "phrase", "--count", "3", "--split", "validation", "--export", str(tmp_path))
    stored = RowReader(made / "artifacts" / "augment" / "windows.zarr" / "validation")
    pack = ClipPack(made / "artifacts" / "synthesize")
    assert len(list(tmp_path.glob("*"))) == 9
    for index in range(3):
        name = f"validation-{index:06d}-phrase"
        audio, rate = soundfile.read(tmp_path / f"{name}.wav", dtype="int16")
        assert rate == 16_000
        assert np.array_equal(audio, stored["audio"].rows(np.array([index]))[0])
        dry = soundfile.read(tmp_path / f"{name}-dry.wav", dtype="int16")[0]
        assert np.array_equal(dry, pack.audio(int(stored["clip"].all()[index])))
        told = (tmp_path / f"{name}.txt").read_text("utf-8").splitlines()
        assert [line.strip() for line in lines if line.strip() in told]


def test_one_window_without_an_augmentation(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes = [json.loads(line) for line in (made / "artifacts/augment/recipes.jsonl").read_text("utf-8").splitlines()]
    number = next(r["index"] for r in recipes if r["split"] == "train" and "noise" in [e["name"] for e in r["effects"]])
    whole = listed(made, capsys, "--number", str(number), "--export", str(tmp_path))
    without = listed(made, capsys, "--number", str(number), "--export", str(tmp_path), "--without", "noise")
    assert len(without) == len(whole) - 1
    assert set(without) < set(whole)
    audio, quiet = (soundfile.read(path)[0] for path in sorted(tmp_path.glob(f"train-{number:06d}-[!d]*[!y].wav")))
    assert not np.array_equal(audio, quiet)


def test_dry_clips(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(made, capsys, "--dry", "--form", "neighbour", "--split", "test", "--export", str(tmp_path))
    assert len(lines) == 4
    assert all(line.startswith("test, neighbour, clip ") and "toy test" in line for line in lines)
    pack = ClipPack(made / "artifacts" / "synthesize")
    for path in tmp_path.glob("*.wav"):
        number = int(path.stem.split("-")[1])
        assert np.array_equal(soundfile.read(path, dtype="int16")[0], pack.audio(number))
    assert len(listed(made, capsys, "--dry", "--number", "3")) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--form", "frase"], "--form; got 'frase'; expected one of phrase, partial"),
        (["--dry", "--form", "phrase"], "expected one of positive, partial"),
        (["--split", "test"], "no windows of test"),
        (["--number", "99999"], "no windows of train, number 99999"),
        (["--without", "speed"], "--without speed. The word would lie elsewhere"),
    ],
)
def test_wrong_wishes_are_told_in_a_line(
    made: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["clips", str(made), *options]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_no_workspace_and_old_recipes(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clips", str(tmp_path)]) == 1
    assert "the stage augment has not run" in capsys.readouterr().err
    root = workspace(tmp_path / "old", {"augment": SMALL})
    (root / "artifacts" / "augment").mkdir()
    old = {"split": "train", "index": 0, "form": "phrase", "clip": 0, "speed": {"factor": 1.13}}
    (root / "artifacts" / "augment" / "recipes.jsonl").write_text(json.dumps(old) + "\n")
    assert main(["clips", str(root)]) == 1
    assert "another version. Run: dvc repro --force augment" in capsys.readouterr().err


def test_help_names_all_forms_and_augmentations(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["clips", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert ", ".join(AUGMENTATIONS) in told
    assert ", ".join(FORMS) in told
