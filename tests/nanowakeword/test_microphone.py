from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nanowakeword import NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, ConfigError
from nanowakeword.microphone import Microphone, MicrophoneEvent, level_dbfs, list_devices
from nanowakeword.soundcards import InputDevice, InputStream, OnBlock, SoundLibrary, choose_device, connection
from tests.nanowakeword.played_device import PlayedLibrary, device
from tests.nanowakeword.test_imports import BLOCKER
from tests.nanowakeword.virtual_microphone import DEVICE, VirtualMicrophone, virtual_microphone
from tests.tiny_model import silence, tone

BLOCK = tone(0.08)
DEVICES = [
    device(0, "USB Camera", api="MME"),
    device(3, "USB Microphone", api="MME"),
    device(5, "USB Microphone", api="Windows WASAPI", is_default=True),
    device(6, "USB Microphone 2", api="Windows WASAPI"),
]


@pytest.fixture
def virtual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualMicrophone]:
    with virtual_microphone(tmp_path, monkeypatch) as microphone:
        yield microphone


def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Wait for what another thread or process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def run_code(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Levels, devices, formats.


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (silence(0.08), -100.0),
        (silence(0.0), -100.0),
        (tone(0.08, amplitude=32_767), -3.01),
        (np.full(1_280, -32_768, np.int16), 0.0),
        (tone(0.08, amplitude=3_277), -23.01),
    ],
)
def test_level(samples: Samples, level: float) -> None:
    assert level_dbfs(samples) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 5), (3, 3), ("3", 3), ("camera", 0), ("USB Microphone 2", 6), ("usb microphone", 5), (" Camera ", 0)],
)
def test_the_device_that_is_meant(wanted: int | str | None, index: int) -> None:
    assert choose_device(DEVICES, wanted).index == index


@pytest.mark.parametrize("wanted", [1, "1", -1, "headset", "", "usb"])
def test_a_device_that_is_not_there_or_several(wanted: int | str) -> None:
    with pytest.raises(ConfigError, match="microphone") as caught:
        choose_device(DEVICES, wanted)
    for text in ("0: USB Camera (MME)", "6: USB Microphone 2 (Windows WASAPI)"):
        assert text in str(caught.value)


def test_no_device_at_all() -> None:
    with pytest.raises(AudioError, match="Plug one in"):
        choose_device([], None)


@pytest.mark.parametrize(
    ("takes", "form"),
    [
        (None, (16_000, 1)),
        ({(16_000, 2), (44_100, 1)}, (16_000, 2)),
        ({(44_100, 1), (44_100, 2)}, (44_100, 1)),
        ({(44_100, 2)}, (44_100, 2)),
    ],
)
def test_the_first_format_that_the_device_takes(takes: set[tuple[int, int]] | None, form: tuple[int, int]) -> None:
    library = PlayedLibrary(device(0, "mic"), takes=takes)
    with Microphone(library=library) as microphone:
        (stream,) = library.streams
        assert stream.form == form
        rate_hz, channels = form
        for _ in range(5):
            stream.give(np.ones(rate_hz * 8 // 100 * channels, np.int16))
        heard = np.concatenate([microphone.read() for _ in range(5)])
        assert 5_000 < len(heard) <= 6_400
    assert stream.closed


def test_a_device_that_takes_no_format() -> None:
    with pytest.raises(AudioError, match="cannot record from 'mic'; got Invalid sample rate"):
        Microphone(library=PlayedLibrary(device(0, "mic"), takes=[]))


# A device that is slow, comes and goes.


def test_what_the_device_loses_is_counted() -> None:
    library = PlayedLibrary(device(0, "mic"))
    with Microphone(library=library) as microphone:
        library.streams[0].give(BLOCK)
        library.streams[0].give(BLOCK, lost_before=True)
        assert [len(microphone.read()) for _ in range(2)] == [1_280, 1_280]
        assert microphone.overflows == 1
        assert microphone.gaps == 0
        assert microphone.level_dbfs == pytest.approx(-15.05, abs=0.01)


def test_who_falls_behind_goes_on_with_what_is_said_now() -> None:
    library = PlayedLibrary(device(0, "mic"))
    with Microphone(library=library) as microphone:
        for number in range(70):  # 5.6 s; the queue holds 63 blocks
            library.streams[0].give(np.full(1_280, number, np.int16))
        blocks = iter(microphone)
        assert next(blocks) is None
        heard = [next(blocks) for _ in range(7)]
        assert [int(block[0]) for block in heard if block is not None] == list(range(63, 70))
        assert (microphone.overflows, microphone.gaps) == (1, 1)


def test_a_microphone_that_is_unplugged_is_waited_for() -> None:
    library = PlayedLibrary(device(0, "card"), device(4, "USB mic"))
    events: list[MicrophoneEvent] = []
    with Microphone("usb", library=library, on_event=events.append) as microphone:
        library.streams[0].give(BLOCK)
        assert len(microphone.read()) == 1_280
        library.streams[0].active = False
        library.present.pop()
        for _ in range(4):
            assert len(microphone.read()) == 0
        assert [event.kind for event in events] == ["lost"]
        # With another number; its own went to another device.
        library.present[:] = [device(1, "USB mic"), device(4, "USB mic 2")]
        until(lambda: len(microphone.read()) == 0 and len(events) == 2)
        assert events[1].kind == "back"
        assert events[1].device == "USB mic"
        assert 0.5 < events[1].away_s < 10
        assert microphone.device.index == library.streams[1].device.index == 1
        library.streams[1].give(BLOCK)
        assert len(microphone.read()) == 1_280
        assert microphone.gaps == 1
    assert [stream.closed for stream in library.streams] == [True, True]


def test_a_gap_is_told_where_it_is() -> None:
    library = PlayedLibrary(device(0, "mic"))
    with Microphone(library=library) as microphone:
        library.streams[0].give(BLOCK)
        library.streams[0].active = False
        kinds = []
        for block in microphone:
            kinds.append("gap" if block is None else len(block))
            if len(library.streams) == 2 and len(kinds) < 20:
                library.streams[1].give(BLOCK)
            if kinds[-1] == 1_280 and "gap" in kinds:
                break
        assert kinds[0] == 1_280
        assert kinds.count("gap") == 1
        assert set(kinds[1 : kinds.index("gap")]) == {0}


def test_a_device_that_says_nothing_any_more_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_STALL_S", 0.2)
    library = PlayedLibrary(device(0, "mic"))
    events: list[MicrophoneEvent] = []
    with Microphone(library=library, on_event=events.append) as microphone:
        microphone.read()
        until(lambda: len(microphone.read()) == 0 and bool(events), seconds=2)
        assert events[0].kind == "lost"


def test_a_sound_system_that_hangs_does_not_hang_the_program() -> None:
    library = PlayedLibrary(device(0, "mic"))
    microphone = Microphone(library=library)
    library.may_close.clear()
    library.streams[0].active = False
    began_s = time.monotonic()
    for _ in range(3):
        assert len(microphone.read()) == 0
    microphone.close()
    assert time.monotonic() - began_s < 2
    library.may_close.set()
    with pytest.raises(AudioError, match="closed"):
        microphone.read()


def test_closing_while_it_is_away_ends_the_search() -> None:
    library = PlayedLibrary(device(0, "mic"))
    with Microphone(library=library) as microphone:
        library.streams[0].active = False
        microphone.read()
        library.present.clear()
    until(lambda: all(thread.name != "microphone recovery" for thread in threading.enumerate()))
    assert len(library.streams) == 1
    microphone.close()  # again: harmless


def test_the_default_microphone_may_be_another_one_afterwards() -> None:
    library = PlayedLibrary(device(0, "old", is_default=True))
    events: list[MicrophoneEvent] = []
    with Microphone(library=library, on_event=events.append) as microphone:
        library.present[:] = [device(0, "other"), device(1, "new", is_default=True)]
        library.streams[0].active = False
        until(lambda: len(microphone.read()) == 0 and len(events) == 2)
        assert microphone.device.name == "new"


def test_without_a_callback_the_log_tells(caplog: pytest.LogCaptureFixture) -> None:
    library = PlayedLibrary(device(0, "mic"))
    with caplog.at_level(logging.WARNING), Microphone(library=library) as microphone:
        library.streams[0].active = False
        until(lambda: len(microphone.read()) == 0 and len(caplog.messages) == 2)
    assert caplog.messages[0] == "microphone 'mic' is lost, waiting for it"
    assert caplog.messages[1].startswith("microphone 'mic' is back after ")


# What is not installed.


def test_without_the_package_the_message_says_how_to_install_it() -> None:
    text = run_code(
        BLOCKER + "from nanowakeword import microphone, errors\n"
        "try: microphone.list_devices()\nexcept errors.DependencyError as error: print(error)"
    )
    assert text == 'the microphone needs the package sounddevice. Install it: pip install "nanowakeword[audio]"'


def test_without_portaudio_the_message_says_how_to_install_it() -> None:
    pytest.importorskip("_sounddevice")
    text = run_code(
        "import ctypes.util, sys\nctypes.util.find_library = lambda name: None\n"
        "sys.modules['pyaudio'] = None\n"
        "from nanowakeword import microphone, errors\n"
        "try: microphone.Microphone()\nexcept errors.DependencyError as error: print(error)"
    )
    assert text.startswith("the microphone needs the library PortAudio; got ")
    assert "sudo apt install libportaudio2 (Debian" in text


# The virtual microphone.


def tone_s(microphone: Microphone) -> float:
    """Wait for the tone and for its end; how long it was."""
    loud = 0
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        samples = int(np.count_nonzero(np.abs(block := microphone.read()) > 100))
        loud += samples
        if loud and len(block) and not samples:
            break
    return loud / 16_000


def test_a_virtual_microphone_is_heard_unplugged_and_heard_again(virtual: VirtualMicrophone) -> None:
    assert DEVICE in [item.name for item in list_devices()]
    events: list[MicrophoneEvent] = []
    with Microphone(DEVICE.upper(), on_event=events.append) as microphone:
        virtual.play(tone(0.5))
        assert tone_s(microphone) == pytest.approx(0.5, abs=0.15)  # the player may stumble at the start
        virtual.unplug()
        until(lambda: microphone.read() is not None and bool(events))
        time.sleep(0.8)  # attempts that fail
        assert [event.kind for event in events] == ["lost"]
        virtual.plug()
        until(lambda: len(microphone.read()) == 0 and len(events) == 2)
        virtual.play(tone(0.5))
        assert tone_s(microphone) == pytest.approx(0.5, abs=0.15)  # the player may stumble at the start
        assert microphone.gaps == 1


class ModernDevices:
    """The real library, with devices that refuse 16 kHz and mono as many do."""

    def __init__(self, library: SoundLibrary) -> None:
        self.name = library.name
        self.formats: list[tuple[int, int]] = []
        self._library = library

    def devices(self) -> list[InputDevice]:
        return self._library.devices()

    def open(
        self, device: InputDevice, *, rate_hz: int, channels: int, block_samples: int, on_block: OnBlock
    ) -> InputStream:
        self.formats.append((rate_hz, channels))
        if rate_hz == 16_000 or channels == 1:
            raise OSError("Invalid sample rate")
        return self._library.open(
            device, rate_hz=rate_hz, channels=channels, block_samples=block_samples, on_block=on_block
        )


def test_a_microphone_of_44_khz_wakes_the_model(virtual: VirtualMicrophone, tiny_path: Path) -> None:
    from nanowakeword.soundcards.sounddevice_adapter import SounddeviceLibrary

    library = ModernDevices(SounddeviceLibrary())
    interpreter = NanoInterpreter.load_model(tiny_path)
    heard: list[str] = []

    def stop(model: str, score: float) -> None:
        heard.append(model)
        interpreter.stop()

    with Microphone(DEVICE, library=library) as microphone:
        assert library.formats[-1] == (44_100, 32)
        virtual.play(np.concatenate([silence(0.3), tone(0.8), silence(0.3)]))
        guard = threading.Timer(15, interpreter.stop)
        guard.start()
        interpreter.listen(stop, source=microphone)
        guard.cancel()
    assert heard == ["beep"]


def test_listen_in_the_background_on_a_virtual_microphone(virtual: VirtualMicrophone, tiny_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    with NanoInterpreter.load_model(tiny_path) as interpreter:
        interpreter.listen(lambda *event: heard.append(event), device=DEVICE, blocking=False)
        with pytest.raises(ConfigError, match="listens already"):
            interpreter.listen(blocking=False)
        virtual.play(np.concatenate([silence(0.3), tone(0.8)]))
        until(lambda: bool(heard), seconds=10)
        interpreter.stop()
    assert heard[0][0] == "beep"
    assert heard[0][1] >= 0.75
