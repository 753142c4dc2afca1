from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nanowakeword.cli import COMMANDS, main

# Asks a real shell: defines the completion, then calls it as the Tab key does, and prints each answer in a line.
ASK = """
source "$SCRIPT" || exit 3
function_=$(complete -p nanowakeword); function_=${function_##*-F }; function_=${function_%% *}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
"$function_" nanowakeword "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What bash is to source, as the program prints it."""
    path = tmp_path_factory.mktemp("completion") / "script"
    command = [sys.executable, "-m", "nanowakeword", "completion", "bash"]
    path.write_bytes(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("beep.onnx", "two words.wav"):
        (tmp_path / name).touch()
    (tmp_path / "recordings").mkdir()
    return tmp_path


def press_tab(script: Path, folder: Path, *words: str) -> set[str]:
    """What a real bash offers for the last word."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", "nanowakeword", *words],
        cwd=folder,
        env={"SCRIPT": str(script), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.splitlines())


def test_commands_and_options_complete(script: Path, folder: Path) -> None:
    assert press_tab(script, folder, "") >= set(COMMANDS)
    assert press_tab(script, folder, "det") == {"detect"}
    assert press_tab(script, folder, "detect", "beep.onnx", "--th") == {"--threshold"}
    assert press_tab(script, folder, "completion", "") == {"bash", "zsh", "tcsh"}


def test_files_complete_to_files_and_folders_to_folders(script: Path, folder: Path) -> None:
    everything = {"beep.onnx", "two words.wav", "recordings"}
    assert press_tab(script, folder, "detect", "") == everything
    assert press_tab(script, folder, "detect", "beep.onnx", "tw") == {"two words.wav"}
    for option in ("--info", "--config", "--model"):
        assert press_tab(script, folder, option, "") == everything
    assert press_tab(script, folder, "evaluate", "beep.onnx", "--positives", "") == {"recordings"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_each_shell_has_a_script_that_it_can_read(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    path = tmp_path / "script"
    path.write_text(capsys.readouterr().out)
    assert all(command in path.read_text() for command in COMMANDS)
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"there is no {shell} to read it")
    done = subprocess.run([program, "-f", "-n", str(path)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_shtab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert 'pip install "nanowakeword[completion]"' in capsys.readouterr().err


def test_another_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "cmd.exe"])
    assert stopped.value.code == 2
    assert "bash" in capsys.readouterr().err
