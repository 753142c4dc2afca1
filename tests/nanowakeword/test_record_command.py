"""Recording oneself: what is kept, what is refused and why, and going on later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.cli import main
from nanowakeword.commands.record import record_takes
from nanowakeword.takes import TakeFolder, read_takes
from nanowakeword.utterance import Utterance, UtteranceFinder
from tests.nanowakeword.virtual_microphone import DEVICE, virtual_microphone

Captured = pytest.CaptureFixture[str]
RATE = 16_000


def room(seconds: float, *, rms: float = 8.0, seed: int = 0) -> Samples:
    """A quiet room; -72 dBFS."""
    noise = np.random.default_rng(seed).normal(0.0, rms, round(seconds * RATE))
    return np.rint(noise).astype(np.int16)


def voice(seconds: float = 0.9, *, amplitude: int = 3_000, hertz: float = 160.0) -> Samples:
    """Harmonics with syllables, as loud as a person at a desk."""
    t = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2.0 * np.pi * hertz * k * t) / k for k in range(1, 12))
    syllables = 0.6 + 0.4 * np.cos(2.0 * np.pi * 3.0 * t)
    return np.clip(np.rint(amplitude * tones * syllables), -32_768, 32_767).astype(np.int16)


def said(word: Samples, *, before_s: float = 1.0, after_s: float = 1.0, rms: float = 8.0) -> Samples:
    """A word in the room."""
    quiet = np.zeros(round(before_s * RATE), np.int16), np.zeros(round(after_s * RATE), np.int16)
    audio = np.concatenate([quiet[0], word, quiet[1]])
    return (
        (audio.astype(np.int32) + room(len(audio) / RATE, rms=rms, seed=1)[: len(audio)])
        .clip(-32_768, 32_767)
        .astype(np.int16)
    )


def blocks(*parts: Samples, size: int = 1_280) -> Iterator[Samples]:
    audio = np.concatenate(parts)
    return (audio[i : i + size] for i in range(0, len(audio), size))


def find(*parts: Samples, size: int = 1_280) -> list[Utterance]:
    finder = UtteranceFinder()
    return [utterance for block in blocks(*parts, size=size) for utterance in finder.feed(block)]


def record(folder: Path, source: Iterator[Samples | None], *, number: int, phrase: str = "hey nano") -> TakeFolder:
    takes = TakeFolder(folder, phrase=phrase, now=datetime.now(UTC))
    record_takes(source, takes, number=number, phrase=phrase, device="desk")
    return takes


class TestFinding:
    @settings(max_examples=20, deadline=None)
    @given(size=st.integers(1, 5_000), seconds=st.floats(0.4, 2.5), before_s=st.floats(1.7, 4.0))
    def test_the_word_is_whole_with_half_a_second_around(self, size: int, seconds: float, before_s: float) -> None:
        word = voice(seconds)
        (found,) = find(said(word, before_s=before_s), size=max(size, 80))
        assert found.problem == ""
        # An edge that fills less than a part of a hop may lie in the half second.
        assert seconds - 0.05 <= found.seconds <= seconds + 0.17
        assert len(found.samples) == round((found.seconds + 1.0) * RATE)
        # The word is in it, not shifted out of the middle.
        loud = np.flatnonzero(np.abs(found.samples.astype(np.int32)) > 400)
        assert loud[0] >= 0.45 * RATE
        assert loud[-1] < len(found.samples) - 0.45 * RATE
        assert loud[-1] - loud[0] > 0.9 * len(word)
        assert found.level_dbfs - found.background_dbfs > 30.0

    def test_blocks_do_not_matter(self) -> None:
        audio = np.concatenate([said(voice(), before_s=2.0), said(voice(0.6, hertz=110.0))])
        once, often = find(audio, size=len(audio)), find(audio, size=333)
        assert len(once) == 2
        assert [(a.seconds, a.samples.tobytes()) for a in once] == [(b.seconds, b.samples.tobytes()) for b in often]

    def test_a_pause_within_the_phrase_is_part_of_it(self) -> None:
        (found,) = find(said(np.concatenate([voice(0.4), np.zeros(RATE // 3, np.int16), voice(0.5)]), before_s=2.0))
        assert found.seconds == pytest.approx(1.23, abs=0.15)

    def test_what_is_said_into_the_first_second_is_not_taken(self) -> None:
        for before_s in (0.3, 0.8):
            assert find(said(voice(), before_s=before_s, rms=2.0)) == []

    def test_a_click_is_no_utterance(self) -> None:
        assert find(said(voice(0.05), before_s=2.0)) == []

    def test_after_missing_audio_the_room_is_learned_anew(self) -> None:
        finder = UtteranceFinder()
        finder.feed(np.concatenate([room(2.0), voice(0.4)]))
        finder.reset()
        assert finder.feed(said(voice(), before_s=0.3)) == []
        assert len(finder.feed(said(voice()))) == 1
        # A quiet room that was is no measure for a loud one that is.
        finder.feed(room(3.0))
        finder.reset()
        assert len(finder.feed(said(voice(amplitude=6_000), before_s=2.5, rms=100.0))) == 1

    def test_a_room_that_is_never_quiet(self, tmp_path: Path, capsys: Captured) -> None:
        bursts = [np.concatenate([room(0.3), voice(0.2, amplitude=500)])] * 30
        finder = UtteranceFinder()
        finder.feed(room(2.0))
        assert finder.restless_s == 0.0
        (endless,) = finder.feed(np.concatenate(bursts))
        assert endless.problem.startswith("that went on too long")
        assert finder.restless_s > 6.0
        finder.feed(room(1.0))
        assert finder.restless_s == 0.0
        record(tmp_path, blocks(room(2.0), *bursts), number=1)
        assert capsys.readouterr().err.count("it is never quiet here") == 1


class TestJudging:
    @pytest.mark.parametrize(
        ("word", "rms", "problem"),
        [
            (voice(), 8.0, ""),
            (voice(amplitude=40), 2.0, "too quiet (-"),
            (voice(amplitude=60_000), 8.0, "too loud, it is clipped"),
            (voice(amplitude=900), 300.0, "the room is too loud (only "),
            (voice(0.16), 8.0, "too short (0.2 s)"),
            (voice(3.3), 8.0, "that went on too long"),
            (voice(9.0), 8.0, "that went on too long"),
        ],
    )
    def test_what_is_wrong_and_what_to_do(self, word: Samples, rms: float, problem: str) -> None:
        found = find(said(word, before_s=3.0, rms=rms))[0]
        assert found.problem.startswith(problem)
        assert bool(found.problem) == bool(problem)
        assert not problem or "; " in found.problem


class TestRecording:
    def test_good_ones_are_kept_and_the_others_taken_again(self, tmp_path: Path, capsys: Captured) -> None:
        parts = (room(1.5), said(voice()), said(voice(amplitude=60_000)), said(voice(0.7)), said(voice(0.6)))
        takes = record(tmp_path, blocks(*parts), number=2)
        assert [take.split for take in takes.takes] == ["train", "test"]
        assert takes.takes == read_takes(tmp_path)
        for take in takes.takes:
            assert len(read_audio(tmp_path / take.file)) == round((take.seconds + 1.0) * RATE)
            assert take.device == "desk"
        told = capsys.readouterr().err.splitlines()
        assert told[0] == "be quiet for a second, please"
        assert told[1] == '1 of 2: say "hey nano", as you always say it'
        assert told[2].startswith("  kept: 1.0 s, -")
        assert told[3] == '2 of 2: say "hey nano", once more'
        assert told[4].startswith("  too loud, it is clipped")
        assert told[5] == told[3]
        assert told[6].startswith("  kept: 0.")
        assert len(told) == 7

    def test_it_goes_on_where_it_was_interrupted(self, tmp_path: Path, capsys: Captured) -> None:
        def interrupted() -> Iterator[Samples]:
            yield from blocks(room(1.5), said(voice()))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            record(tmp_path, interrupted(), number=3)
        capsys.readouterr()
        takes = record(tmp_path, blocks(room(1.5), said(voice()), said(voice())), number=3)
        assert '2 of 3: say "hey nano", once more' in capsys.readouterr().err
        assert len(takes.takes) == 3
        assert len({take.session for take in takes.takes}) == 1

    def test_a_gap_spoils_the_take_that_it_is_in(self, tmp_path: Path, capsys: Captured) -> None:
        def with_gap() -> Iterator[Samples | None]:
            yield from blocks(room(1.5), said(voice())[: 3 * RATE // 2])
            yield None
            yield from blocks(room(1.5), said(voice()))

        assert len(record(tmp_path, with_gap(), number=2).takes) == 1
        assert "audio was lost; please begin again" in capsys.readouterr().err

    def test_the_program_and_a_full_folder(self, tmp_path: Path, capsys: Captured) -> None:
        record(tmp_path, blocks(room(1.5), said(voice())), number=1)
        capsys.readouterr()
        assert main(["record", "hey nano", "-n", "1", "-o", str(tmp_path)]) == 0
        assert "has 1 recording of 'hey nano'; -n 11 makes ten more" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [(["?"], "the phrase to record"), (["hey nano", "-n", "0"], "bad number of recordings; got 0")],
    )
    def test_wrong_wishes(self, arguments: list[str], message: str, capsys: Captured) -> None:
        assert main(["record", *arguments]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="PulseAudio")
def test_the_program_on_a_virtual_microphone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "takes"
    with virtual_microphone(tmp_path, monkeypatch) as microphone:
        command = ["record", "hey nano", "-n", "2", "-o", str(folder), "--device", DEVICE]
        program = subprocess.Popen(
            [sys.executable, "-m", "nanowakeword", *command], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert program.stderr is not None
        try:
            told = [program.stderr.readline() for _ in range(3)]
            assert told[0] == f"recording from {DEVICE}; Ctrl-C ends, the same command goes on\n"
            microphone.play(np.concatenate([room(1.6), voice(0.7), room(0.8)]))
            assert program.stderr.readline().startswith("  kept: 0.")
            program.send_signal(signal.SIGINT)
            out, rest = program.communicate(timeout=10)
        finally:
            program.kill()
    assert program.returncode == 130
    assert out == ""
    assert rest.splitlines()[-1] == f"{folder}: 1 recording of 'hey nano' (1 train, 0 calibration, 0 test)"
    (take,) = read_takes(folder)
    assert take.device == DEVICE
    assert take.level_dbfs > -30.0
    assert len(read_audio(folder / take.file)) == round((take.seconds + 1.0) * RATE)
