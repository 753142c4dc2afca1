"""A sound library whose device is played by the test: what drivers do that no virtual microphone can be made to do."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from nanowakeword.arrays import Samples
from nanowakeword.soundcards import InputDevice, OnBlock

__all__ = ["PlayedLibrary", "PlayedStream", "device"]


def device(index: int, name: str, *, api: str = "ALSA", is_default: bool = False, channels: int = 2) -> InputDevice:
    """A device of 44.1 kHz."""
    return InputDevice(index=index, name=name, api=api, channels=channels, rate_hz=44_100, is_default=is_default)


class PlayedStream:
    """An open stream; `active` is set by the test."""

    def __init__(
        self, opened: InputDevice, form: tuple[int, int], on_block: OnBlock, may_close: threading.Event
    ) -> None:
        self.device = opened
        self.form = form
        self.active = True
        self.closed = False
        self._on_block = on_block
        self._may_close = may_close

    def give(self, samples: Samples, *, lost_before: bool = False) -> None:
        self._on_block(samples.tobytes(), lost_before)

    def close(self) -> None:
        self._may_close.wait()
        self.closed = True


class PlayedLibrary:
    """Devices that the test plugs and unplugs; `may_close` lets streams close, or hang."""

    name = "played"

    def __init__(self, *present: InputDevice, takes: Iterable[tuple[int, int]] | None = None) -> None:
        self.present = list(present)
        self.takes = None if takes is None else set(takes)
        self.streams: list[PlayedStream] = []
        self.may_close = threading.Event()
        self.may_close.set()

    def devices(self) -> list[InputDevice]:
        return list(self.present)

    def open(
        self, device: InputDevice, *, rate_hz: int, channels: int, block_samples: int, on_block: OnBlock
    ) -> PlayedStream:
        if device not in self.present or (self.takes is not None and (rate_hz, channels) not in self.takes):
            raise OSError("Invalid sample rate [PaErrorCode -9997]")
        assert block_samples == rate_hz * 8 // 100
        self.streams.append(PlayedStream(device, (rate_hz, channels), on_block, self.may_close))
        return self.streams[-1]
