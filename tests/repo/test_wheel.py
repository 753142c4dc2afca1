"""The wheel: what it holds, and that it works alone, in an environment with what it declares and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from steps.closure import CHECKOUT
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import silence, tone, write_tiny_model

NO_PACKAGES = ("No matching distribution found", "Could not find a version")


def pip(*arguments: str | Path) -> None:
    """Run pip; without an index, or what an index has kept here, the test is skipped."""
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and any(sign in done.stderr for sign in NO_PACKAGES):
        pytest.skip(f"pip cannot fetch packages here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, CHECKOUT)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_runtime_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"nanowakeword"}
    assert "nanowakeword/py.typed" in names
    assert not [name for name in names if not re.search(r"\.(py|pyi|typed)$|\.dist-info/", name)]
    packed = {name for name in names if name.startswith("nanowakeword/") and name.endswith(".py")}
    assert packed == {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "nanowakeword").rglob("*.py")}


def test_the_wheel_alone_hears(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    pip("--python", scripts / "python", "install", "--constraint", CHECKOUT / "constraints.txt", wheel)

    model = write_tiny_model(tmp_path / "beep.onnx")
    recording = write_wav(tmp_path / "beep.wav", np.concatenate([silence(1.0), tone(0.5), silence(0.5)]))

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [str(scripts / command[0]), *map(str, command[1:])],
            cwd=tmp_path,
            env={},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    here = run("python", "-c", "import nanowakeword; print(nanowakeword.__file__)")
    assert Path(here.strip()).is_relative_to(environment)
    (line,) = run("nanowakeword", "detect", model, recording).splitlines()
    assert re.search(r"beep\.wav: 1\.\d\d s  beep  0\.\d+$", line)
    assert "detect" in run("nanowakeword", "--help")
    installed = run("python", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
    assert {"nanowakeword", "numpy", "onnxruntime"} <= set(installed.split())
    assert not {"torch", "grpcio", "soundfile", "sounddevice", "onnx", "scipy"} & set(installed.split())
