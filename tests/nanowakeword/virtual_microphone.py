"""A microphone made of software: a PulseAudio daemon of our own with a null sink, whose monitor is recorded from.

PortAudio on Debian speaks only ALSA, so an ALSA configuration of our own leads to the daemon.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from nanowakeword.arrays import Samples
from nanowakeword.errors import DependencyError
from nanowakeword.soundcards import load_sound_library

__all__ = ["DEVICE", "VirtualMicrophone", "virtual_microphone"]

DEVICE: Final = "wake_mic"
_ALSA_MAIN: Final = Path("/usr/share/alsa/alsa.conf")
_ALSA: Final = f"""
pcm.{DEVICE} {{
    type pulse
    device wake.monitor
    hint {{ show on  description "a virtual microphone" }}
}}
"""


class VirtualMicrophone:
    """Plugged in from the beginning; silent unless played into."""

    def __init__(self, folder: Path, daemon: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self._daemon = daemon
        self._players: list[subprocess.Popen[bytes]] = []
        self._module = ""

    def plug(self) -> None:
        """Plug it in."""
        # Without the last, it renders 2 s ahead, and what is played is recorded that much later.
        settings = ["rate=16000", "channels=1", "format=s16le", "sink_name=wake", "norewinds=1"]
        self._module = self._control("load-module", "module-null-sink", *settings)

    def unplug(self) -> None:
        """Pull it out while it records."""
        self._control("unload-module", self._module)
        self._end_players()

    def play(self, samples: Samples) -> None:
        """Speak int16 ``[n]`` at 16 kHz into it; returns at once."""
        path = self._folder / f"{len(self._players)}_{time.monotonic_ns()}.raw"
        path.write_bytes(samples.astype("<i2").tobytes())
        form = ["--raw", "--rate=16000", "--channels=1", "--format=s16le", "--device=wake", "--latency-msec=40"]
        with path.open("rb") as file:
            self._players.append(
                subprocess.Popen(["pacat", *form], stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )

    def close(self) -> None:
        """End all that was started."""
        self._end_players()
        self._daemon.terminate()
        self._daemon.wait(10)

    def _end_players(self) -> None:
        for player in self._players:
            player.kill()
            player.wait(10)
        self._players.clear()

    def _control(self, *words: str) -> str:
        done = subprocess.run(["pactl", *words], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def virtual_microphone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualMicrophone]:
    """A daemon with a microphone; the environment leads this process and its children to it."""
    _skip_where_it_cannot_be()
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    (folder / "home").mkdir()
    socket = runtime / "native"
    config = folder / "asound.conf"
    config.write_text(_ALSA, "utf-8")
    for name, value in {
        "HOME": str(folder / "home"),
        "XDG_RUNTIME_DIR": str(runtime),
        "PULSE_RUNTIME_PATH": str(runtime),
        "PULSE_SERVER": f"unix:{socket}",
        "ALSA_CONFIG_PATH": f"{_ALSA_MAIN}:{config}",
    }.items():
        monkeypatch.setenv(name, value)
    daemon = subprocess.Popen(
        [
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"),
            f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    microphone = VirtualMicrophone(folder, daemon)
    try:
        deadline = time.monotonic() + 10
        # The socket is there before anybody answers on it.
        while not socket.exists() or subprocess.run(["pactl", "info"], capture_output=True, timeout=20).returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"no virtual microphone: pulseaudio does not run here (status {daemon.poll()})")
            time.sleep(0.05)
        microphone.plug()
        yield microphone
    finally:
        microphone.close()


def _skip_where_it_cannot_be() -> None:
    if missing := [name for name in ("pulseaudio", "pactl", "pacat") if shutil.which(name) is None]:
        pytest.skip(f"no virtual microphone: {', '.join(missing)} not found (apt install pulseaudio pulseaudio-utils)")
    if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")) or not _ALSA_MAIN.is_file():
        pytest.skip("no virtual microphone: ALSA cannot reach PulseAudio (apt install libasound2-plugins)")
    try:
        load_sound_library()
    except DependencyError as error:
        pytest.skip(f"no virtual microphone: {error}")
