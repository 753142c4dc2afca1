"""What the runtime needs, what it offers, and what it must never load."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import nanowakeword
from tests.nanowakeword.audio_files import write_wav
from tests.tiny_model import tone

CHECKOUT = Path(__file__).parents[2]

BLOCKER = """
import sys
ALLOWED = {"numpy", "onnxruntime", "nanowakeword"}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if path is None and top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)
sys.meta_path.insert(0, Blocker())
"""

HEAR = """
import nanowakeword, numpy as np, sys
from nanowakeword.cli import main
interpreter = nanowakeword.NanoInterpreter.load_model(sys.argv[1])
tone = nanowakeword.read_audio(sys.argv[2])
assert interpreter.predict(tone).detected
assert main(["detect", sys.argv[1], sys.argv[2]]) == 0
assert main(["--info", sys.argv[1]]) == 0
folders = ["--positives", sys.argv[3], "--negatives", sys.argv[3]]
assert main(["evaluate", sys.argv[1], *folders, "--babble-snr-db", "10"]) == 0
for name in ("torch", "zarr", "dvc", "prefect", "pydantic", "soundfile", "soxr", "librosa", "grpc", "scipy", "onnx"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
    else:
        raise SystemExit(f"{name} is not blocked")
"""


def test_numpy_and_onnxruntime_suffice(tiny_path: Path, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "clips" / "a.wav", tone(1.0))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKER + HEAR, str(tiny_path), str(path), str(path.parent)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_errors_and_timing_load_nothing_heavy() -> None:
    code = (
        "import nanowakeword, nanowakeword.errors, nanowakeword.timing, nanowakeword.cli, sys;"
        "heavy = {'numpy', 'onnxruntime'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_everything_that_is_offered_is_there() -> None:
    for name in nanowakeword.__all__:
        assert getattr(nanowakeword, name) is not None
        assert name in dir(nanowakeword)
    for module in sorted((CHECKOUT / "nanowakeword").rglob("*.py")):
        dotted = ".".join(module.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        if ".v1" in dotted or dotted.endswith("__main__"):
            continue
        for name in getattr(importlib.import_module(dotted), "__all__", []):
            assert hasattr(importlib.import_module(dotted), name), f"{dotted}.{name}"


def test_names_that_are_not_offered_are_missing() -> None:
    assert not hasattr(nanowakeword, "listen_to_everything")


def test_one_version() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert nanowakeword.__version__ == project["version"]


def test_nothing_is_written_or_reported_by_onnxruntime(tmp_path: Path, tiny_path: Path) -> None:
    program = "import nanowakeword, sys; nanowakeword.Graph.load(sys.argv[1])"
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", program, tiny_path],
        env={**environment, "HOME": str(home)},
        cwd=CHECKOUT,
        check=True,
        timeout=60,
    )
    assert list(home.rglob("*")) == []
