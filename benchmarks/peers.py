"""The other wake word systems: an environment of their own, made once, and the graphs that they need, from PyPI alone.

An environment lies in the cache of downloaded weights and is made anew when the file that pins it changes. Ours is not
touched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from models.package_cache import File, Package, Part, Weights, cache_folder, obtain

__all__ = ["PEERS", "graphs_of_openwakeword", "make_environment", "peer_command", "prepare_peers"]

PEERS: Final = {
    "micro": "pymicro-wakeword 2.5.0",
    "openwakeword": "openwakeword 0.6.0",
    "lean": "lean loop over its graphs",
}
_HERE: Final = Path(__file__).parent
_PINS: Final = _HERE / "peers.txt"
# The wheel of openwakeword 0.6.0 has no graphs and fetches these from a web site; that of 0.5.1 carries them.
_WHEEL: Final = Package(client="pip", name="openwakeword", version="0.5.1")
_GRAPHS: Final = Weights(
    name="openwakeword_graphs",
    what="openWakeWord's three graphs: mel spectrogram, embedding, the word alexa",
    licence="Apache-2.0 AND CC-BY-NC-SA-4.0",
    source="https://github.com/dscripka/openWakeWord",
    files=tuple(
        File(name=name, parts=(Part(package=_WHEEL, member=f"openwakeword/resources/models/{name}"),), sha256=sha256)
        for name, sha256 in (
            ("melspectrogram.onnx", "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f"),
            ("embedding_model.onnx", "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f"),
            ("alexa_v0.1.onnx", "6ff566a01d12670e8d9e3c59da32651db1575d17272a601b7f8a39283dfbae3e"),
        )
    ),
)


def prepare_peers() -> tuple[Path, Path]:
    """Make the environment and fetch the graphs, unless both are there.

    Returns:
        The environment's Python, and the folder of the graphs.

    Raises:
        DependencyError: the graphs cannot be had.
    """
    return make_environment(_PINS), graphs_of_openwakeword()


def graphs_of_openwakeword() -> Path:
    """The folder of openWakeWord's three graphs, fetched unless they are there.

    Raises:
        DependencyError: they cannot be had.
    """
    return obtain(_GRAPHS)


def make_environment(pinned: Path) -> Path:
    """Install what a file pins into an environment of its own, unless that is there, and return its Python.

    What cannot be installed is named on standard error; the peers that need it will say so when they are run.
    """
    pins = pinned.read_text("utf-8")
    key = hashlib.sha256(f"{pins}{sys.version}".encode()).hexdigest()[:12]
    folder = cache_folder() / f"peers-{key}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "ready").exists():
        print(f"installing the peers into {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        for pin in [line for line in pins.splitlines() if not line.startswith("#")]:
            command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps", pin]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["no reason told"])[-1]
                print(f"not installed: {pin}: {reason}", file=sys.stderr)
        (folder / "ready").touch()
    return python


def peer_command(peer: str, python: Path, graphs: Path, *, seconds: float) -> list[str]:
    """Command that measures a peer once and prints its `nanowakeword.commands.bench.Cost` as JSON."""
    return [str(python), str(_HERE / "peer_worker.py"), peer, str(graphs), str(seconds)]
