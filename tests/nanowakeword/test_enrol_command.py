from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanowakeword.cli import main
from nanowakeword.graph import Graph
from nanowakeword.owner import OwnerVerifier
from tests.nanowakeword.audio_files import write_wav
from tests.nanowakeword.test_owner import OTHERS, OWNER, SPEECH, heard

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Recordings of an owner, of a family and of a radio."""
    for name, clips in (("me", OWNER), ("family", OTHERS), ("radio", SPEECH)):
        for index, clip in enumerate(clips):
            write_wav(tmp_path / name / f"{index}.wav", clip)
    return tmp_path


def enrol(model: Path, folders: Path, *arguments: str, negatives: tuple[str, ...] = ("family", "radio")) -> int:
    others = [str(folders / name) for name in negatives]
    output = str(folders / "me.json")
    return main(
        ["enrol", str(model), "--positives", str(folders / "me"), "--negatives", *others, "-o", output, *arguments]
    )


def test_an_owner_is_enrolled(tiny: Graph, tiny_path: Path, folders: Path, capsys: Captured) -> None:
    assert enrol(tiny_path, folders) == 0
    verifier = OwnerVerifier.load(folders / "me.json", tiny)
    assert verifier.score(heard(tiny, OWNER[0])) >= verifier.threshold > verifier.score(heard(tiny, OTHERS[0]))
    assert capsys.readouterr().out.splitlines() == [
        "owner      6 recordings; 6 of them pass a verifier enrolled without them",
        "others     6 recordings of people who say it, 5 others",
        f"threshold  {verifier.threshold:.3f}",
        f"written    {folders / 'me.json'}",
    ]


def test_recordings_of_no_use_are_named_and_left_out(tiny_path: Path, folders: Path, capsys: Captured) -> None:
    write_wav(folders / "me" / "mumbled.wav", SPEECH[0])
    (folders / "radio" / "damaged.wav").write_bytes(b"RIFF")
    assert enrol(tiny_path, folders) == 0
    captured = capsys.readouterr()
    assert "left out mumbled.wav: the model does not hear 'beep'" in captured.err
    assert "left out damaged.wav: " in captured.err
    assert captured.out.startswith("owner      6 recordings")


def test_a_lack_of_other_people_is_told(tiny_path: Path, folders: Path, capsys: Captured) -> None:
    assert enrol(tiny_path, folders, negatives=("radio",)) == 0
    captured = capsys.readouterr()
    assert "others     0 recordings of people who say it, 5 others" in captured.out
    assert "nobody but the owner says the phrase, so many who do will pass" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threshold", "0.99"), "too few recordings of the owner; got 0; expected 3, better 5 to 10"),
        (("--threshold", "2"), "bad threshold; got 2.0"),
    ],
)
def test_what_cannot_be_enrolled(
    tiny_path: Path, folders: Path, capsys: Captured, arguments: tuple[str, ...], message: str
) -> None:
    assert enrol(tiny_path, folders, *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (folders / "me.json").exists()


def test_too_few_that_can_be_read(tiny_path: Path, folders: Path, capsys: Captured) -> None:
    for index in range(4):
        (folders / "radio" / f"{index}.wav").write_bytes(b"RIFF")
    assert enrol(tiny_path, folders, negatives=("radio",)) == 1
    assert "too few recordings of others can be read; got 1" in capsys.readouterr().err


def test_no_folder(tiny_path: Path, folders: Path, capsys: Captured) -> None:
    assert enrol(tiny_path, folders, negatives=("nobody",)) == 1
    assert "nobody; got nothing there; expected a folder" in capsys.readouterr().err


def test_help_shows_examples(capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["enrol", "--help"])
    text = capsys.readouterr().out
    assert "five people are worth far more than one" in text
    assert np.max([len(line) for line in text.splitlines()]) <= 120
