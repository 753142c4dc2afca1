"""sounddevice, https://python-sounddevice.readthedocs.io (MIT): PortAudio, on board for Windows and macOS."""

from __future__ import annotations

import threading
from typing import Any

from nanowakeword.errors import AudioError
from nanowakeword.soundcards import InputDevice, OnBlock

__all__ = ["SounddeviceLibrary"]


class SounddeviceLibrary:
    """Records through sounddevice.

    Raises:
        ImportError: the package is not installed.
        OSError: PortAudio is not.
    """

    name = "sounddevice"

    def __init__(self) -> None:
        import sounddevice

        self._sounddevice: Any = sounddevice
        self._lock = threading.Lock()
        self._streams = 0

    def devices(self) -> list[InputDevice]:
        """Devices that can record; see `SoundLibrary`."""
        with self._lock:
            try:
                return self._list()
            except self._sounddevice.PortAudioError as error:
                raise AudioError("the sound system does not work", got=" ".join(str(error).split())) from None

    def open(
        self, device: InputDevice, *, rate_hz: int, channels: int, block_samples: int, on_block: OnBlock
    ) -> SounddeviceStream:
        """Begin to record; see `SoundLibrary`."""

        def take(data: Any, _frames: int, _time: Any, status: Any) -> None:
            on_block(bytes(data), bool(status.input_overflow))

        with self._lock:
            try:
                stream = self._sounddevice.RawInputStream(
                    samplerate=rate_hz,
                    channels=channels,
                    dtype="int16",
                    blocksize=block_samples,
                    device=device.index,
                    callback=take,
                )
            except (self._sounddevice.PortAudioError, ValueError) as error:  # ValueError: no such device any more
                raise OSError(" ".join(str(error).split())) from None
            try:
                stream.start()
            except self._sounddevice.PortAudioError as error:
                stream.close(ignore_errors=True)
                raise OSError(" ".join(str(error).split())) from None
            self._streams += 1
        return SounddeviceStream(stream, self)

    def forget(self) -> None:
        """A stream is closed."""
        with self._lock:
            self._streams -= 1

    def _list(self) -> list[InputDevice]:
        if not self._streams:
            # PortAudio lists the devices when it is initialised and never again, and sounddevice initialises it once,
            # on import. It has no public way to do so again.
            self._sounddevice._terminate()
            self._sounddevice._initialize()
        apis = self._sounddevice.query_hostapis()
        default = self._sounddevice.default.device[0]
        if default < 0:
            default = apis[0]["default_input_device"] if apis else -1
        return [
            InputDevice(
                index=item["index"],
                name=item["name"],
                api=apis[item["hostapi"]]["name"],
                channels=item["max_input_channels"],
                rate_hz=round(item["default_samplerate"]),
                is_default=item["index"] == default,
            )
            for item in self._sounddevice.query_devices()
            if item["max_input_channels"] > 0
        ]


class SounddeviceStream:
    """An open stream."""

    def __init__(self, stream: Any, library: SounddeviceLibrary) -> None:
        self._stream = stream
        self._library = library

    @property
    def active(self) -> bool:
        """Whether PortAudio still calls back."""
        try:
            return bool(self._stream.active)
        except Exception:  # a stream that broke may answer with an error of its own
            return False

    def close(self) -> None:
        """End it."""
        # Without the abort, PortAudio's close may wait for ever on a device that is gone.
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)
        self._library.forget()
