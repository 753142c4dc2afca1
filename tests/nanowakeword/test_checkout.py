"""Commands of the repository through the program: they reach ``python -m steps``, and say so where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nanowakeword
from nanowakeword.cli import CHECKOUT_COMMANDS, COMMANDS, main
from steps.__main__ import COMMANDS as STEPS
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import tone


def program(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nanowakeword", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_each_has_a_command_of_steps_behind_it() -> None:
    assert {command.name for command in CHECKOUT_COMMANDS.values()} <= set(STEPS)
    assert not set(CHECKOUT_COMMANDS) & set(COMMANDS)


def test_the_help_tells_where_they_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for name, command in CHECKOUT_COMMANDS.items():
        assert f"{name} {command.help}; in a checkout of the repository" in told


def test_arguments_and_status_pass_through(tmp_path: Path) -> None:
    write_wav(tmp_path / "DEMAND" / "TCAR" / "ch01.wav", tone(0.5))
    done = program("corpus", "demand", tmp_path / "DEMAND", "-o", tmp_path / "m.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 recordings, 0.00 h noise; CC-BY-SA-3.0" in done.stdout
    assert (tmp_path / "m.csv").is_file()
    failed = program("corpus", "demand", tmp_path / "nowhere")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"error: {tmp_path / 'nowhere'} is not DEMAND")
    assert program("corpus", "nothing", tmp_path).returncode == 2


def test_without_a_checkout_it_says_so(tmp_path: Path) -> None:
    # -S and -I: neither this checkout nor what is installed beside it; only the package itself.
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; "
        "import nanowakeword.cli as c; sys.exit(c.main(['corpus', 'demand', '.']))"
    )
    (tmp_path / "nanowakeword").symlink_to(Path(nanowakeword.__file__).parent)
    libraries = str(Path(np.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path), libraries],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the pipeline is not installed. It is part of the repository" in done.stderr
