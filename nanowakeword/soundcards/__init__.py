"""What reaches the sound hardware: one small adapter per Python package, all behind `SoundLibrary`.

An adapter opens a device at a rate and with channels that the device takes, and hands over raw blocks; it knows nothing
of 16 kHz, of queues, or of devices that come and go.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from nanowakeword.errors import AudioError, ConfigError, DependencyError

__all__ = ["InputDevice", "InputStream", "OnBlock", "SoundLibrary", "choose_device", "load_sound_library"]

OnBlock = Callable[[bytes, bool], None]
"""Takes one block, interleaved int16, and whether the device lost audio before it. Called in the library's thread."""


@dataclass(frozen=True, kw_only=True)
class InputDevice:
    """A device that audio can be recorded from.

    Attributes:
        index: number by which the library knows it; it may change when devices come and go.
        name: as the system calls it.
        api: the system's sound interface that offers it, such as ALSA or Windows WASAPI.
        channels: how many it has at most.
        rate_hz: the sample rate that it prefers.
        is_default: whether the system records from it unless told otherwise.
    """

    index: int
    name: str
    api: str
    channels: int
    rate_hz: int
    is_default: bool


class InputStream(Protocol):
    """A device that records."""

    @property
    def active(self) -> bool:
        """Whether it still does, as far as the library knows."""

    def close(self) -> None:
        """End it; never raises. May take long if the sound system hangs."""


class SoundLibrary(Protocol):
    """An adapter."""

    @property
    def name(self) -> str:
        """The Python package."""

    def devices(self) -> list[InputDevice]:
        """Devices that can record, those that have just been plugged in included.

        The libraries see new devices only when they are started anew, which cannot be while a stream is open; then
        the list is as old as that stream.

        Raises:
            AudioError: the sound system does not work.
        """

    def open(
        self, device: InputDevice, *, rate_hz: int, channels: int, block_samples: int, on_block: OnBlock
    ) -> InputStream:
        """Begin to record.

        Raises:
            OSError: the device does not take these settings, is busy, or is gone.
        """


_ADAPTERS: Final = {
    "sounddevice": "nanowakeword.soundcards.sounddevice_adapter:SounddeviceLibrary",
    "pyaudio": "nanowakeword.soundcards.pyaudio_adapter:PyAudioLibrary",
}
_NO_PACKAGE: Final = 'Install it: pip install "nanowakeword[audio]"'
_NO_PORTAUDIO: Final = (
    "Install PortAudio: sudo apt install libportaudio2 (Debian, Ubuntu, Raspberry Pi OS), "
    "sudo dnf install portaudio (Fedora), sudo pacman -S portaudio (Arch)"
)


@functools.cache
def load_sound_library() -> SoundLibrary:
    """The first adapter whose package works here; the same object each time, as the system's library is one.

    Raises:
        DependencyError: there is none; it says whether the Python package is missing or the library under it.
    """
    broken: OSError | None = None
    for path in _ADAPTERS.values():
        module, _, name = path.partition(":")
        try:
            library: SoundLibrary = getattr(importlib.import_module(module), name)()
        except ImportError:
            continue
        except OSError as error:  # the package is there, the library that it loads is not
            broken = broken or error
            continue
        return library
    if broken is not None:
        raise DependencyError(
            "the microphone needs the library PortAudio", got=" ".join(str(broken).split()), hint=_NO_PORTAUDIO
        )
    raise DependencyError("the microphone needs the package sounddevice", hint=_NO_PACKAGE)


def choose_device(devices: Sequence[InputDevice], wanted: int | str | None) -> InputDevice:
    """Find the device that a user means.

    Args:
        devices: those that there are.
        wanted: its index, as a number or as text; its name or a part of it, in upper or lower case; None for the
            system's default. A name that several sound interfaces offer means the one of the default interface.

    Raises:
        AudioError: there is no device to record from at all.
        ConfigError: no device or more than one fits; the message lists the devices.
    """
    if not devices:
        raise AudioError("no microphone", got="no device that can record", hint="Plug one in")
    default = next((device for device in devices if device.is_default), devices[0])
    if wanted is None:
        return default
    if isinstance(wanted, int) or wanted.strip().isdecimal():
        fitting = [device for device in devices if device.index == int(wanted)]
    else:
        text = wanted.strip().casefold()
        fitting = [device for device in devices if text and text in device.name.casefold()]
        # Each step narrows only where it leaves something.
        for narrower in (
            [device for device in fitting if device.name.casefold() == text],
            [device for device in fitting if device.api == default.api],
        ):
            if len(fitting) > 1 and narrower:
                fitting = [device for device in fitting if device in narrower] or fitting
    if len(fitting) != 1:
        raise ConfigError(
            "no such microphone" if not fitting else "several microphones have this name",
            got=repr(wanted),
            expected="one of " + ", ".join(f"{device.index}: {device.name} ({device.api})" for device in devices),
        )
    return fitting[0]
