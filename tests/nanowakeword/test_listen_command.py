from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from nanowakeword.audio import read_audio
from nanowakeword.cli import main
from nanowakeword.commands.listen_report import Report
from nanowakeword.errors import RemoteError
from nanowakeword.graph import Graph
from nanowakeword.microphone import MicrophoneEvent
from nanowakeword.owner import OwnerVerifier
from nanowakeword.results import Detection
from tests.nanowakeword.audio_files import write_wav
from tests.nanowakeword.played_device import PlayedLibrary, device
from tests.nanowakeword.virtual_microphone import DEVICE, virtual_microphone
from tests.tiny_model import silence, tiny_card, tone, write_tiny_model

# The first is heard: half of its first hop and three more. The second is nearly heard.
BEEPS = np.concatenate([silence(1.8), tone(0.5), silence(2.5), tone(0.5, amplitude=5_000), silence(1.5)])
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def beeps(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "beeps.wav", BEEPS)


def listen(*arguments: object) -> int:
    return main(["listen", *map(str, arguments)])


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_recording_in_words(tiny_path: Path, beeps: Path, capsys: Captured) -> None:
    assert listen(tiny_path, "--file", beeps) == 0
    out, err = capsys.readouterr()
    assert out == "2.08 s  beep  0.875\n"
    assert err.splitlines() == [f"listening to {beeps} for 'beep' at 0.75", "heard 7.4 s: 1 detection"]


def test_a_recording_for_programs(tiny_path: Path, beeps: Path, capsys: Captured) -> None:
    assert listen(tiny_path, "--file", beeps, "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    begin, heard, end = events(out)
    assert begin == {"event": "listening", "source": str(beeps), "thresholds": {"beep": 0.75}}
    assert heard.pop("score") == pytest.approx(0.875, abs=0.001)
    assert heard == {"event": "detection", "at_s": 2.08, "model": "beep", "phrase": "beep", "threshold": 0.75}
    assert end == {
        "event": "end",
        "heard_s": 7.36,
        "detections": 1,
        "refused": 0,
        "near_misses": 0,
        "microphone_lost": 0,
        "overflows": 0,
    }


@pytest.mark.parametrize(
    ("options", "detections"),
    [
        (["--threshold", "0.5"], 2),
        (["--budget", "2/h"], 2),
        (["--budget", "12/day"], 1),
        (["--threshold", "0.9", "--patience", "5"], 0),
        (["--seconds", "2"], 0),
        (["--vad", "energy"], 1),
    ],
)
def test_options(options: list[str], detections: int, tiny_path: Path, beeps: Path, capsys: Captured) -> None:
    assert listen(tiny_path, "--file", beeps, "--json", *options) == 0
    assert events(capsys.readouterr().out)[-1]["detections"] == detections


def test_a_gate(tiny_path: Path, tmp_path: Path, beeps: Path, capsys: Captured) -> None:
    model = tmp_path / "boop.onnx"
    write_tiny_model(model, tiny_card(name="boop", phrase="boop"))
    write_tiny_model(tmp_path / "boop_lite.onnx", tiny_card(name="boop_lite", kind="gate", threshold=0.3))
    for options in (["--cascade"], ["--gate", tmp_path / "boop_lite.onnx"]):
        assert listen(model, "--file", beeps, *options) == 0
        assert "boop" in capsys.readouterr().out
    assert listen(tiny_path, "--file", beeps, "--cascade") == 1
    assert "beep_lite.onnx" in capsys.readouterr().err


def test_another_voice_is_refused(tiny_path: Path, tmp_path: Path, beeps: Path, capsys: Captured) -> None:
    """The owner's verifier has the last word; here it was enrolled with beeps of another loudness."""
    quiet = [np.concatenate([silence(1.8), tone(0.5, amplitude=6_500 + 9 * n), silence(0.5)]) for n in range(5)]
    loud = [np.concatenate([silence(1.8), tone(0.5, amplitude=14_000 + 90 * n), silence(0.5)]) for n in range(5)]
    graph = Graph.load(tiny_path)
    OwnerVerifier.enrol(graph, loud, quiet).save(tmp_path / "owner.json")
    assert listen(tiny_path, "--file", beeps, "--owner", tmp_path / "owner.json") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[1:] == ["beep, in another voice", "heard 7.4 s: 0 detections, 1 other voice"]
    assert listen(tiny_path, "--file", beeps, "--owner", tmp_path / "owner.json", "--json") == 0
    assert [event["event"] for event in events(capsys.readouterr().out)] == ["listening", "refused", "end"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no model to load"),
        (["--pipeline", "verifier_only"], "expected --remote HOST:PORT, too"),
        (["--remote", "127.0.0.1:1", "--api-key-file", "none"], "cannot read none"),
        (["--remote", "127.0.0.1:1"], "cannot reach a server at 127.0.0.1:1"),
    ],
)
def test_a_server_that_is_not_there(arguments: list[str], message: str, beeps: Path, capsys: Captured) -> None:
    assert listen(*arguments, "--file", beeps) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


@pytest.mark.parametrize("content", ["", "two words", "a\nb", "schlüssel"])
def test_a_file_without_a_secret(content: str, beeps: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "key").write_text(content, encoding="utf-8")
    assert listen("--remote", "127.0.0.1:1", "--api-key-file", tmp_path / "key", "--file", beeps) == 1
    assert "holds no secret; expected one line" in capsys.readouterr().err


def test_a_server_goes_and_comes(capsys: Captured) -> None:
    for as_json in (False, True):
        report = Report(phrases={}, thresholds={}, as_json=as_json, live=False)
        for error in (None, RemoteError("cannot reach it"), RemoteError("cannot reach it"), None, None):
            report.show_server(error)
    out, err = capsys.readouterr()
    assert err.splitlines() == ["cannot reach it", "the server is back"]
    assert events(out) == [{"event": "server_lost", "problem": "cannot reach it"}, {"event": "server_back"}]


def test_several_models(tiny_path: Path, tmp_path: Path, beeps: Path, capsys: Captured) -> None:
    other = write_tiny_model(tmp_path / "o.onnx", tiny_card(name="other", phrase="boop", threshold=0.3))
    assert listen(tiny_path, other, "--file", beeps) == 0
    out, err = capsys.readouterr()
    assert [line.split()[2] for line in out.splitlines()] == ["boop", "beep", "boop"]
    assert "'beep' at 0.75, 'boop' at 0.3" in err


def test_recordings_of_what_was_and_was_nearly_heard(
    tiny_path: Path, tmp_path: Path, beeps: Path, capsys: Captured
) -> None:
    folder = tmp_path / "new" / "kept"
    assert listen(tiny_path, "--file", beeps, "--record-misses", folder, "--json") == 0
    kept = [event for event in events(capsys.readouterr().out) if event["event"] == "kept"]
    assert [event["kind"] for event in kept] == ["detection", "near_miss"]
    rows = events((folder / "misses.jsonl").read_text("utf-8"))
    assert [str(folder / row["file"]) for row in rows] == [event["file"] for event in kept]
    assert listen(tiny_path, "--file", beeps, "--record-misses", folder, "--near-miss", "0.7") == 0
    assert "nearly" not in capsys.readouterr().out
    assert len(list(folder.glob("*.wav"))) == 3
    assert listen(tiny_path, "--file", beeps, "--record-misses", folder, "--record-max-mb", "0.2") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith("nearly beep  0.6")
    assert err.endswith("1 detection, 1 near miss\n")
    assert len(list(folder.glob("*.wav"))) <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--near-miss", "0.3"], "--record-misses"),
        (["--record-max-mb", "1"], "--record-misses"),
        (["--record-misses", "kept", "--near-miss", "1.5"], "near-miss threshold"),
        (["--record-misses", "kept", "--record-max-mb", "0"], "bad size"),
        (["--threshold", "7"], "bad threshold"),
        (["--budget", "often"], "bad budget"),
        (["--patience", "0"], "bad patience"),
        (["--seconds", "-1"], "bad --seconds"),
    ],
)
def test_wrong_settings_are_one_line(
    arguments: list[str], message: str, tiny_path: Path, beeps: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beeps.parent)
    assert listen(tiny_path, "--file", beeps, *arguments) == 1
    err = capsys.readouterr().err.splitlines()
    assert message in err[-1]
    assert err[-1].startswith("nanowakeword: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["m.onnx", "--pipeline", "half"],
        ["m.onnx", "--threshold", "0.5", "--budget", "1"],
        ["m.onnx", "--device", "0", "--file", "x.wav"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        listen(*arguments)
    assert stopped.value.code == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_meter_is_one_line_that_events_push_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    report = Report(phrases={"m": "beep"}, thresholds={"m": 0.5}, as_json=False, live=True)
    report.show_meter(tone(0.08), {"m": 0.5}, 0.25)
    first = terminal.getvalue()
    assert first.startswith("\rlevel [")
    assert "-15 dBFS  gate [##------] 0.250  m [####----] 0.500" in first
    assert len(first.strip()) <= 71
    report.show_meter(silence(0.08), {"m": 0.0}, 0.0)
    assert terminal.getvalue()[len(first) :].count("0.500") == 1  # held, so that it can be seen
    report.show_meter(silence(0.08), {"m": 0.75}, 0.0)
    assert terminal.getvalue().rstrip().endswith("0.750")
    report.show_detection(Detection(phrase="beep", score=0.5, start_s=1.0, end_s=1.08, model="m"))
    assert re.search(r"\r {60,71}\r\d\d:\d\d:\d\d  beep  0\.500\n$", terminal.getvalue())
    report.show_microphone(MicrophoneEvent(kind="lost", device="USB", away_s=0.0))
    report.show_meter(silence(0.0), {"m": 0.0}, 0.0)
    assert terminal.getvalue().endswith("\rwaiting for the microphone")
    report.clear()
    assert terminal.getvalue().endswith("\r" + " " * 26 + "\r")


@pytest.mark.parametrize("columns", [1, 5, 20, 40, 200])
def test_the_meter_fits_any_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    report = Report(phrases={}, thresholds={}, as_json=False, live=True)
    report.show_meter(tone(0.08), {"first": 1.0, "second": 0.0}, None)
    assert len(terminal.getvalue().strip("\r")) <= max(0, columns - 1)


def test_remarks(capsys: Captured) -> None:
    for as_json in (False, True):
        report = Report(phrases={}, thresholds={}, as_json=as_json, live=True)
        report.show_microphone(MicrophoneEvent(kind="lost", device="USB", away_s=0.0))
        report.show_microphone(MicrophoneEvent(kind="back", device="USB", away_s=3.21))
        for count in (0, 2, 2):
            report.show_overflows(count)
        report.show_end(1.0)
        report.show_meter(tone(0.08), {}, None)  # no terminal
        out, err = capsys.readouterr()
        if as_json:
            assert [event["event"] for event in events(out)] == [
                "microphone_lost",
                "microphone_back",
                "overflow",
                "end",
            ]
            assert all("time" in event for event in events(out))
        else:
            lost, back, overflow, end = err.splitlines()
            assert lost.endswith("  microphone lost, waiting for USB")
            assert back.endswith("  microphone is back after 3.2 s")
            assert overflow.endswith("  audio was lost, the machine is too slow or busy; 2 so far")
            assert end == "heard 1.0 s: 0 detections, 2 losses of audio, 1 loss of the microphone"


def test_a_recording_holds_nothing_of_after_a_gap(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    library = PlayedLibrary(device(0, "mic"))
    monkeypatch.setattr("nanowakeword.microphone.load_sound_library", lambda: library)

    def play() -> None:
        while not library.streams:
            time.sleep(0.01)
        for _ in range(10):
            library.streams[0].give(tone(0.08))
        library.streams[0].active = False
        while len(library.streams) < 2:
            time.sleep(0.01)
        for _ in range(20):
            library.streams[1].give(np.full(1_280, 7, np.int16))

    player = threading.Thread(target=play)
    player.start()
    assert listen(tiny_path, "--seconds", "1.5", "--record-misses", tmp_path / "kept", "--json") == 0
    player.join()
    seen = [event["event"] for event in events(capsys.readouterr().out)]
    assert seen == ["listening", "detection", "microphone_lost", "microphone_back", "kept", "end"]
    (kept,) = (tmp_path / "kept").glob("*.wav")
    np.testing.assert_array_equal(read_audio(kept), tone(0.8))


def read_until(stream: IO[str], wanted: str) -> list[dict[str, Any]]:
    """Events up to one of a kind."""
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["event"] != wanted:
        line = stream.readline()
        assert line, f"no {wanted!r} after {seen}"
        seen.append(json.loads(line))
    return seen


def start(arguments: Sequence[object]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nanowakeword", "listen", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="PulseAudio")
def test_the_program_on_a_virtual_microphone(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    kept = tmp_path / "kept"
    with virtual_microphone(tmp_path, monkeypatch) as microphone:
        with pytest.raises(SystemExit) as stopped:
            listen("--list-devices")
        assert stopped.value.code == 0
        assert DEVICE in capsys.readouterr().out
        assert listen(tiny_path, "--device", "nobody's") == 1
        assert DEVICE in capsys.readouterr().err
        program = start([tiny_path, "--device", DEVICE, "--json", "--record-misses", kept])
        assert program.stdout is not None
        try:
            read_until(program.stdout, "listening")
            microphone.play(np.concatenate([silence(0.3), tone(0.6), silence(0.3)]))
            heard = read_until(program.stdout, "detection")[-1]
            assert heard["model"] == "beep"
            microphone.unplug()
            read_until(program.stdout, "microphone_lost")
            microphone.plug()
            read_until(program.stdout, "microphone_back")
            microphone.play(np.concatenate([silence(0.3), tone(0.6), silence(0.3)]))
            again = read_until(program.stdout, "detection")[-1]
            assert again["at_s"] > heard["at_s"]
            program.send_signal(signal.SIGTERM)
            end = read_until(program.stdout, "end")[-1]
            assert program.wait(10) == 0
        finally:
            program.kill()
            program.communicate()
    assert (end["detections"], end["microphone_lost"]) == (2, 1)
    assert len(list(kept.glob("*_detection.wav"))) == 2


@pytest.mark.skipif(os.name != "posix", reason="PulseAudio")
def test_ctrl_c_is_how_it_ends(tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with virtual_microphone(tmp_path, monkeypatch):
        program = start([tiny_path, "--device", DEVICE])
        assert program.stderr is not None
        while (line := program.stderr.readline()) and not line.startswith("listening to "):
            pass
        assert line == f"listening to {DEVICE} for 'beep' at 0.75; Ctrl-C ends\n"
        time.sleep(0.1)
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=10)
    assert program.returncode == 0
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith(" 0 detections")
