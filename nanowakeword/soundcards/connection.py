"""One connection to one device, from when it is opened until it is lost: raw blocks in, 16 kHz mono out."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError, DependencyError
from nanowakeword.resampling import ToMono16k
from nanowakeword.soundcards import InputDevice, InputStream, SoundLibrary
from nanowakeword.timing import HOP_S, SAMPLE_RATE_HZ

__all__ = ["Connection"]

_QUEUE_S: Final = 5.0
# A device from which nothing comes for so long is gone, whatever the library says. PulseAudio may need 2 s to begin.
_STALL_S: Final = 4.0


class Connection:
    """Records from a device, in the first format that it takes: 16 kHz before its own rate, mono before all channels.

    The library's thread only puts blocks into a queue that holds 5 s; all else happens where `take` is called. A queue
    that is full is emptied: whoever falls behind goes on with what is said now.

    Args:
        library: the adapter.
        device: one of its devices.

    Raises:
        AudioError: the device cannot be opened in any format.
        DependencyError: it needs a conversion that is not installed.
    """

    def __init__(self, library: SoundLibrary, device: InputDevice) -> None:
        self.device = device
        self._changed = threading.Condition()
        self._blocks: deque[bytes] = deque()
        self._most_blocks = math.ceil(_QUEUE_S / HOP_S)
        self._overflows = 0
        self._dropped = False
        self._last_block_s = time.monotonic()
        self._stream, self._convert = self._open(library)

    @property
    def overflows(self) -> int:
        """How often audio was lost: by the device, or because nobody took it for 5 s."""
        return self._overflows

    @property
    def alive(self) -> bool:
        """Whether the device still records and something came of late."""
        return self._stream.active and time.monotonic() - self._last_block_s < _STALL_S

    def take(self, *, wait_s: float) -> Samples | None:
        """The next block, int16 ``[n]``; empty if none comes in time; None where audio was dropped before it."""
        with self._changed:
            if self._dropped:
                self._dropped = False
                return None
            if not self._blocks:
                self._changed.wait(wait_s)
            block = self._blocks.popleft() if self._blocks else b""
        return self._convert.feed(np.frombuffer(block, np.int16))

    def close(self) -> None:
        """End it. May hang with the sound system."""
        self._stream.close()

    def _open(self, library: SoundLibrary) -> tuple[InputStream, ToMono16k]:
        device, problem = self.device, OSError()
        formats = [(rate, channels) for rate in (SAMPLE_RATE_HZ, device.rate_hz) for channels in (1, device.channels)]
        for rate_hz, channels in dict.fromkeys(formats):
            try:
                stream = library.open(
                    device,
                    rate_hz=rate_hz,
                    channels=channels,
                    block_samples=round(rate_hz * HOP_S),
                    on_block=self._put,
                )
            except OSError as error:
                problem = error
                continue
            try:
                return stream, ToMono16k(rate_hz, channels)
            except DependencyError:
                stream.close()
                raise
        raise AudioError(
            f"cannot record from {device.name!r}",
            got=str(problem),
            hint="Another program may hold it, or the system may not allow it: see the privacy settings",
        )

    def _put(self, block: bytes, lost_before: bool) -> None:
        with self._changed:
            self._last_block_s = time.monotonic()
            full = len(self._blocks) >= self._most_blocks
            if full:
                self._blocks.clear()
                self._dropped = True
            self._overflows += full or lost_before
            self._blocks.append(block)
            self._changed.notify()
