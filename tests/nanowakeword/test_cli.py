from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nanowakeword
from nanowakeword.cli import main
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import silence, tiny_card, tiny_proto, tone, write_tiny_model

BEEPS = np.concatenate([silence(1.0), tone(0.5), silence(2.0), tone(0.5, amplitude=7_100), silence(0.5)])
Captured = pytest.CaptureFixture[str]


def program(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program as a process."""
    return subprocess.run(
        [sys.executable, "-m", "nanowakeword", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Recordings with the phrase and without it, one of them damaged."""
    for amplitude in (4_000, 7_000, 8_000):
        clip = np.concatenate([silence(0.2), tone(0.6, amplitude=amplitude), silence(0.2)])
        write_wav(tmp_path / "yes" / "deep" / f"{amplitude}.wav", clip)
    write_wav(tmp_path / "no" / "hum.wav", tone(5.0, amplitude=3_000))
    (tmp_path / "no" / "damaged.wav").write_bytes(b"RIFF")
    return tmp_path / "yes", tmp_path / "no"


def test_info_tells_what_a_model_is(tiny_path: Path, capsys: Captured) -> None:
    assert main(["--info", str(tiny_path)]) == 0
    text = capsys.readouterr().out
    for line in (
        f"file        {tiny_path}, 0.01 MiB",
        "phrase      beep  /bip/",
        "looks back  0.32 s",
        "threshold   0.75 for 0.5 false accepts per hour, from 3.00 h of real speech",
        "input       audio  int16 [b, 1280*k]",
        "input       state  float32 [b, 3]",
        "output      features  float32 [b, k, 2]",
    ):
        assert line in text.splitlines()


def test_info_of_a_full_card(tmp_path: Path, capsys: Captured) -> None:
    card = tiny_card(
        frontends=[{"name": "logmel", "n_features": 40}],
        architecture={"name": "tcn", "layer_size": 64},
        training={"clips": {"espeak": 3}, "licences": ["MIT", "GPL-3.0"]},
        created="2026-11-22T08:00:00+00:00",
        receptive_field_samples=None,
    )
    assert main(["--info", str(write_tiny_model(tmp_path / "m.onnx", card))]) == 0
    text = capsys.readouterr().out
    assert "front end     name logmel, n_features 40" in text
    assert "training      clips (espeak 3), licences (MIT, GPL-3.0)" in text
    assert "created       2026-11-22T08:00:00+00:00" in text
    assert "looks back" not in text


def test_info_as_json(tiny_path: Path, capsys: Captured) -> None:
    assert main(["--info", str(tiny_path), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["card"] == tiny_card()
    assert content["inputs"] == {"audio": "int16 [b, 1280*k]", "state": "float32 [b, 3]"}
    assert content["bytes"] == tiny_path.stat().st_size


def test_detect_prints_events_with_times(tiny_path: Path, tmp_path: Path, capsys: Captured) -> None:
    path, quiet = write_wav(tmp_path / "a.wav", BEEPS), write_wav(tmp_path / "b.wav", silence(0.2))
    assert main(["detect", str(tiny_path), str(path), str(quiet)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 1.28 s  beep  0.875",
        f"{path}: 3.84 s  beep  0.867",
        f"{quiet}: nothing heard, highest score 0.000",
    ]


def test_detect_with_a_threshold_and_as_json(tiny_path: Path, tmp_path: Path, capsys: Captured) -> None:
    path = write_wav(tmp_path / "a.wav", BEEPS)
    assert main(["detect", str(tiny_path), str(path), "--threshold", "0.9", "--json"]) == 0
    (content,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert content["file"] == str(path)
    assert content["seconds"] == 4.5
    assert content["highest_score"] == pytest.approx(1.0, abs=1e-4)
    (detection,) = content["detections"]
    assert detection["model"] == detection["phrase"] == "beep"
    assert detection["end_s"] == pytest.approx(1.36)


def test_detect_within_a_budget(tiny_path: Path, tmp_path: Path, capsys: Captured) -> None:
    path = write_wav(tmp_path / "soft.wav", np.concatenate([tone(0.8, amplitude=5_000), silence(0.8)]))
    assert main(["detect", str(tiny_path), str(path), "--budget", "0.5/h"]) == 0
    assert "nothing heard" in capsys.readouterr().out
    assert main(["detect", str(tiny_path), str(path), "--budget", "2/h"]) == 0
    assert "beep  0.610" in capsys.readouterr().out
    assert main(["detect", str(tiny_path), str(path), "--budget", "0.1/h"]) == 1
    assert "its budgets or more: 0.5, 2" in capsys.readouterr().err


def test_detect_hears_a_phrase_that_ends_with_the_file(tmp_path: Path, capsys: Captured) -> None:
    late = tiny_proto()
    for constant in late.graph.initializer:
        if constant.name == "window":  # the score is the tone of three hops ago
            constant.raw_data = np.array([1, 0, 0, 0], np.float32).tobytes()
    model = tmp_path / "late.onnx"
    model.write_bytes(late.SerializeToString())
    path = write_wav(tmp_path / "a.wav", np.concatenate([silence(0.32), tone(0.08)]))
    assert main(["detect", str(model), str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 0.64 s  beep  1.000\n"


def test_detect_goes_on_after_a_file_that_cannot_be_read(tiny_path: Path, tmp_path: Path, capsys: Captured) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    path = write_wav(tmp_path / "a.wav", BEEPS)
    assert main(["detect", str(tiny_path), str(empty), str(tmp_path / "none.wav"), str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("beep") == 2
    assert printed.err.splitlines() == [
        f"nanowakeword: {empty}; got an empty file; expected a recording such as WAV, FLAC, Ogg or MP3",
        f"nanowakeword: no recording at {tmp_path / 'none.wav'}",
    ]


def test_evaluate_prints_the_report(tiny_path: Path, folders: tuple[Path, Path], capsys: Captured) -> None:
    yes, no = folders
    assert main(["evaluate", str(tiny_path), "--positives", str(yes), "--negatives", str(no)]) == 0
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if " seen " in line]
    assert [row.split("  ")[0] for row in rows] == [
        "0.1 per hour",
        "0.5 per hour",
        "1 per hour",
        "2 per hour",
        "model's own",
    ]
    assert "33.3 % (0.8-90.6), 1 of 3" in rows[-1]
    assert "0.0 % (0.0-70.8), 0 of 3" in rows[0]
    assert "Left out, 1 recordings that cannot be read:" in printed.out
    assert "damaged.wav" in printed.out.splitlines()[-1]
    assert printed.err.splitlines() == ["phrase: 3 of 3", "other recordings: 2 of 2"]


def test_evaluate_writes_json_and_measures_in_babble(
    tiny_path: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: Captured
) -> None:
    yes, no = folders
    file = tmp_path / "report.json"
    file.write_text("old")
    options = ["--babble-snr-db", "10", "--threshold", "0.5", "--json", str(file)]
    assert main(["evaluate", str(tiny_path), "--positives", str(yes), "--negatives", str(no), *options]) == 0
    content = json.loads(file.read_text("utf-8"))
    assert set(content["points"][0]["misses"]) == {"clean", "babble 10 dB"}
    assert content["points"][-1]["threshold"] == 0.5
    assert "missed, babble 10 dB" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["no", "report.json", "yes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--positives", "none", "--negatives", "no"], "none; got nothing there; expected a folder"),
        (["--positives", "no/hum.wav", "--negatives", "no"], "got a file; expected a folder"),
        (["--positives", "bad", "--negatives", "no"], "none of 1 recordings can be used; the first: "),
        (["--positives", "yes", "--negatives", "no", "--threshold", "90"], "bad threshold; got 90.0"),
        (["--positives", "yes", "--negatives", "no", "--babble-snr-db", "1000"], "--babble-snr-db; got 1000.0"),
        (
            ["--positives", "yes", "--negatives", "no", "--json", "none/r.json"],
            "--json none/r.json; got no such folder",
        ),
        (["--positives", "yes", "--negatives", "no", "--json", "yes"], "cannot write yes: Is a directory"),
    ],
)
def test_evaluate_errors_are_one_line(
    tiny_path: Path,
    folders: tuple[Path, Path],
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(folders[0].parent)
    Path("bad").mkdir()
    Path("bad/a.wav").write_bytes(b"RIFF")
    assert main(["evaluate", str(tiny_path), *options]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if " of " not in line or "none of" in line]
    assert len(error) == 1
    assert error[0].startswith("nanowakeword: ")
    assert message in error[0]
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize(
    "arguments",
    [["--info", "none.onnx"], ["detect", "none.onnx", "a.wav"], ["-c", "none.yaml"], ["detect", "README.md", "a.wav"]],
)
def test_errors_are_one_line(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("nanowakeword: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hear"], "invalid choice: 'hear'"),
        (["detect", "m.onnx"], "required: FILE"),
        (["detect", "m.onnx", "a.wav", "--threshold", "high"], "invalid float value: 'high'"),
        (["evaluate", "m.onnx"], "required: --positives, --negatives"),
        (["--json"], "--json belongs to --info"),
        (["-T", "--info", "a.onnx"], "-T, -d, --resume and --overwrite belong to --config"),
        (["--resume"], "--resume and --overwrite belong to --config"),
        (["-c", "params.yaml", "--resume", "--overwrite"], "not allowed with argument"),
        (["--info", "a.onnx", "-c", "params.yaml"], "not allowed with argument"),
        (["--information", "a.onnx"], "unrecognized arguments|invalid choice"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], message: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert any(part in error for part in message.split("|"))


def test_no_arguments_show_the_help(capsys: Captured) -> None:
    assert main([]) == 2
    assert "examples:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["detect", "--help"], ["evaluate", "--help"], ["--version"]])
def test_help_and_version(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "%%" not in text
    assert nanowakeword.__version__ in text or "usage:" in text


def test_the_program_as_a_process(tiny_path: Path, tmp_path: Path) -> None:
    done = program("--info", tiny_path)
    assert (done.returncode, done.stderr) == (0, "")
    failed = program("--info", tmp_path / "none.onnx")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"nanowakeword: no model at {tmp_path / 'none.onnx'}. Give the path of an .onnx file\n"


def test_a_reader_that_leaves_early_is_no_error(tiny_path: Path, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", silence(0.1))
    command = [sys.executable, "-m", "nanowakeword", "detect", str(tiny_path), *[str(path)] * 3_000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


def test_an_interrupt_ends_an_evaluation_quietly(tiny_path: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "yes" / "a.wav", tone(1.0))
    for number in range(20):
        write_wav(tmp_path / "no" / f"{number}.wav", np.tile(tone(10.0), 30))
    command = [sys.executable, "-m", "nanowakeword", "evaluate", str(tiny_path)]
    command += ["--positives", str(tmp_path / "yes"), "--negatives", str(tmp_path / "no")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "phrase: 1 of 1\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "Traceback" not in process.stderr.read()


def test_the_pipeline_runs_in_the_folder_of_its_settings(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(
        "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
    )
    (tmp_path / "params.yaml").write_text("word: beep\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  say:\n    cmd: echo done > said.txt\n    params: [word]\n")
    done = program("-c", tmp_path / "params.yaml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "said.txt").read_text() == "done\n"
    (tmp_path / "dvc.yaml").write_text("stages:\n  say:\n    cmd: exit 7\n")
    assert program("-c", "params.yaml", cwd=tmp_path).returncode not in {0, 7}


def test_the_pipeline_stops_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "params.yaml").write_text("word: beep\n")
    stages = "".join(f"  {name}:\n    cmd: echo > {name}.txt\n" for name in ("synthesize", "features", "finetune"))
    (tmp_path / "dvc.yaml").write_text(f"stages:\n{stages}")
    assert program("-c", tmp_path / "params.yaml", "-G").returncode == 0
    assert [path.name for path in tmp_path.glob("*.txt")] == ["synthesize.txt"]


def test_settings_without_a_pipeline_are_refused(tmp_path: Path, capsys: Captured) -> None:
    for name in ("params.yaml", "other.yaml"):
        (tmp_path / name).write_text("word: beep\n")
        assert main(["-c", str(tmp_path / name)]) == 1
        assert "belongs to no pipeline; expected a params.yaml beside a dvc.yaml" in capsys.readouterr().err


def test_serving_hands_everything_to_the_server(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    failed = program("--port", "0", "--model", tmp_path / "none.onnx", cwd=checkout)
    assert failed.returncode != 0
    assert f"no model at {tmp_path / 'none.onnx'}" in failed.stderr
    assert "unrecognized arguments: --bogus" in program("--model=m.onnx", "--bogus", cwd=checkout).stderr


def test_serving_without_a_checkout_says_so(tmp_path: Path) -> None:
    # -S and -I: neither this checkout nor what is installed beside it; only the package itself.
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "sys.path += [p for p in sys.argv[2].split(':')]; "
        "import nanowakeword.cli as c; sys.exit(c.main(['--model', 'm.onnx']))"
    )
    (tmp_path / "nanowakeword").symlink_to(Path(nanowakeword.__file__).parent)
    libraries = os.pathsep.join(str(Path(path).parents[1]) for path in (np.__file__,))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path), libraries],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the server is not installed. It is part of the repository" in done.stderr
