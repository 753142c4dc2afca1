"""``nanowakeword say``: one recording for each engine and voice, and the reason for each that is silent."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from steps.__main__ import main


def test_recordings_of_each_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["say", "hey nano", "-o", str(tmp_path), "--engine", "espeak", "--engine", "hibari", "--voices", "3"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("phonemes: hˈeɪ nˌænoʊ\n")
    recordings = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("_")[0] for name in recordings] == ["espeak", "espeak", "espeak", "hibari"]
    for name in recordings:
        samples, rate_hz = soundfile.read(tmp_path / name)
        assert rate_hz == 16_000
        assert 0.3 < len(samples) / rate_hz < 1.2
        assert f"{tmp_path / name}" in said


def test_engines_that_are_silent_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["say", "Hallo Küche", "--language", "de", "--pronunciation", "haˈloː ˈkʏçə", "-o", str(tmp_path)]
    assert main([*command, "--engine", "hibari", "--engine", "espeak", "--voices", "1"]) == 0
    said = capsys.readouterr().out
    assert "phonemes: halˈoː kˈʏçə" in said
    assert "hibari    left out: it does not speak de" in said
    assert [path.name.split("_")[0] for path in tmp_path.iterdir()] == ["espeak"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--language", "xx"], "wakeword.language; got 'xx'"),
        (["--pronunciation", "ɣa"], "of which ɣ cannot be said in en-us"),
        (["--voices", "0"], "--voices; got 0; expected 1 or more"),
        (["--language", "de", "--engine", "hibari"], "no engine can say it"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["say", "hallo", "-o", str(tmp_path / "out"), *options]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
