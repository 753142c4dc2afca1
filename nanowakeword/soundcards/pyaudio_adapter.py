"""PyAudio, https://people.csail.mit.edu/hubert/pyaudio/ (MIT): PortAudio, for those who have it already."""

from __future__ import annotations

import contextlib
import importlib
import threading
from typing import Any

from nanowakeword.errors import AudioError
from nanowakeword.soundcards import InputDevice, OnBlock

__all__ = ["PyAudioLibrary"]


class PyAudioLibrary:
    """Records through PyAudio.

    Raises:
        ImportError: the package is not installed, or PortAudio is not.
    """

    name = "pyaudio"

    def __init__(self) -> None:
        # By name: no extra installs it, and no check of our dependencies need know it.
        self._pyaudio: Any = importlib.import_module("pyaudio")
        self._lock = threading.Lock()
        self._streams = 0
        self._host: Any = None

    def devices(self) -> list[InputDevice]:
        """Devices that can record; see `SoundLibrary`."""
        with self._lock:
            try:
                return self._list()
            except OSError as error:
                raise AudioError("the sound system does not work", got=str(error)) from None

    def open(
        self, device: InputDevice, *, rate_hz: int, channels: int, block_samples: int, on_block: OnBlock
    ) -> PyAudioStream:
        """Begin to record; see `SoundLibrary`."""
        overflow, go_on = self._pyaudio.paInputOverflow, self._pyaudio.paContinue

        def take(data: bytes, _frames: int, _time: Any, status: int) -> tuple[None, int]:
            on_block(data, bool(status & overflow))
            return None, go_on

        with self._lock:
            try:
                stream = self._host.open(
                    rate=rate_hz,
                    channels=channels,
                    format=self._pyaudio.paInt16,
                    input=True,
                    input_device_index=device.index,
                    frames_per_buffer=block_samples,
                    stream_callback=take,
                )
            except ValueError as error:  # no such device any more
                raise OSError(str(error)) from None
            self._streams += 1
        return PyAudioStream(stream, self)

    def forget(self) -> None:
        """A stream is closed."""
        with self._lock:
            self._streams -= 1

    def _list(self) -> list[InputDevice]:
        if not self._streams:  # PortAudio lists the devices when it is initialised and never again
            if self._host is not None:
                self._host.terminate()
            self._host = self._pyaudio.PyAudio()
        infos = [self._host.get_device_info_by_index(index) for index in range(self._host.get_device_count())]
        try:
            default = self._host.get_default_input_device_info()["index"]
        except OSError:  # there is none
            default = -1
        return [
            InputDevice(
                index=info["index"],
                name=info["name"],
                api=self._host.get_host_api_info_by_index(info["hostApi"])["name"],
                channels=info["maxInputChannels"],
                rate_hz=round(info["defaultSampleRate"]),
                is_default=info["index"] == default,
            )
            for info in infos
            if info["maxInputChannels"] > 0
        ]


class PyAudioStream:
    """An open stream."""

    def __init__(self, stream: Any, library: PyAudioLibrary) -> None:
        self._stream = stream
        self._library = library

    @property
    def active(self) -> bool:
        """Whether PortAudio still calls back."""
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._stream.stop_stream()
        self._stream.close()
        self._library.forget()
