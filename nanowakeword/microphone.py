"""The microphone: 16 kHz mono blocks of 80 ms, whatever device there is, and however often somebody unplugs it.

with Microphone(device="USB") as microphone:
    while True:
        result = interpreter.predict(microphone.read())

Needs the extra ``audio`` (sounddevice, soxr); PyAudio is used where it alone is installed.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.errors import AudioError
from nanowakeword.soundcards import InputDevice, SoundLibrary, choose_device, load_sound_library
from nanowakeword.soundcards.connection import Connection

__all__ = ["Microphone", "MicrophoneEvent", "level_dbfs", "list_devices"]

_WAIT_S: Final = 0.25
_FIRST_RETRY_S: Final = 0.25
_LONGEST_RETRY_S: Final = 5.0
_LOWEST_DBFS: Final = -100.0
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MicrophoneEvent:
    """The microphone went or came.

    Attributes:
        kind: ``lost`` or ``back``.
        device: its name.
        away_s: seconds that it was away; 0.0 when it is lost.
    """

    kind: Literal["lost", "back"]
    device: str
    away_s: float


def list_devices() -> list[InputDevice]:
    """Devices that audio can be recorded from.

    Raises:
        DependencyError: the extra ``audio`` or PortAudio is not installed.
    """
    return load_sound_library().devices()


def level_dbfs(audio: Samples) -> float:
    """Level of int16 audio ``[n]``: root mean square in dB below full scale, -100.0 for silence and for no audio.

    A sine that just does not clip has -3.0.
    """
    mean_square = float(np.mean(np.square(audio, dtype=np.float32))) if len(audio) else 0.0
    return max(_LOWEST_DBFS, 10 * math.log10(mean_square / 32_768.0**2)) if mean_square else _LOWEST_DBFS


class Microphone:
    """Records from a device; open from when it is made until `close`. For one thread.

    A device that is unplugged is waited for: `read` gives empty blocks, the event is reported once, and when the device
    is there again, audio goes on. Iterating gives what `read` gives, and None once where audio is missing in between,
    so that whoever listens can begin anew.

    Args:
        device: index, name or part of a name of an input device. None: the system's default.
        on_event: called in the thread that reads when the device goes and comes. None: a line in the log.
        library: how to reach the hardware. None: sounddevice, else PyAudio.

    Raises:
        DependencyError: the extra ``audio`` or PortAudio is not installed.
        ConfigError: no device or more than one fits; the message lists them.
        AudioError: there is no device, or it cannot be opened.
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        on_event: Callable[[MicrophoneEvent], None] | None = None,
        library: SoundLibrary | None = None,
    ) -> None:
        self._on_event = on_event or _log_event
        self._library = library or load_sound_library()
        self._wants_default = device is None
        self.device = choose_device(self._library.devices(), device)
        self._connection = Connection(self._library, self.device)
        self._recovery: _Recovery | None = None  # while the device is away
        self._closed = False
        self._earlier_overflows = 0
        self._gaps = 0
        self._level_dbfs = _LOWEST_DBFS

    @property
    def level_dbfs(self) -> float:
        """Level of the last block, see the function `level_dbfs`."""
        return self._level_dbfs

    @property
    def overflows(self) -> int:
        """How often audio was lost because the device or the program was too slow."""
        return self._earlier_overflows + self._connection.overflows

    @property
    def gaps(self) -> int:
        """How often audio is missing between two blocks: more than the device's own small losses."""
        return self._gaps

    def read(self) -> Samples:
        """Wait for the next block.

        Returns:
            int16 ``[n]``; about 80 ms of it, or empty if none came within a quarter of a second.

        Raises:
            AudioError: the microphone is closed.
        """
        if self._closed:
            raise AudioError("the microphone is closed")
        if self._recovery is not None:
            return self._await_recovery(self._recovery)
        block = self._connection.take(wait_s=_WAIT_S)
        if block is None:
            self._gaps += 1
            block = self._connection.take(wait_s=_WAIT_S)
        if block is not None and len(block):
            self._level_dbfs = level_dbfs(block)
            return block
        if not self._connection.alive:
            self._lose()
        return _nothing()

    def __iter__(self) -> Iterator[Samples | None]:
        """Blocks without end; None once where audio is missing."""
        gaps = self._gaps
        while not self._closed:
            block = self.read()
            if gaps != self._gaps:
                gaps = self._gaps
                yield None
            yield block

    def close(self) -> None:
        """Let the device go."""
        if self._closed:
            return
        self._closed = True
        if self._recovery is not None:
            self._recovery.give_up()
        else:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lose(self) -> None:
        self._level_dbfs = _LOWEST_DBFS
        self._recovery = _Recovery(self._library, self._connection, wants_default=self._wants_default)
        self._on_event(MicrophoneEvent(kind="lost", device=self.device.name, away_s=0.0))

    def _await_recovery(self, recovery: _Recovery) -> Samples:
        connection = recovery.wait(_WAIT_S)
        if connection is not None:
            self._recovery = None
            self._earlier_overflows += self._connection.overflows
            self._connection = connection
            self.device = connection.device
            self._gaps += 1
            self._on_event(MicrophoneEvent(kind="back", device=self.device.name, away_s=recovery.away_s))
        return _nothing()


class _Recovery:
    """Closes a connection that was lost and tries to open its device again, in a thread of its own.

    A sound system that hangs, hangs that thread, and not the one that reads.
    """

    def __init__(self, library: SoundLibrary, lost: Connection, *, wants_default: bool) -> None:
        self._library = library
        self._lost = lost
        self._wants_default = wants_default
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._given_up = threading.Event()
        self._done = threading.Event()
        self._connection: Connection | None = None
        threading.Thread(target=self._run, name="microphone recovery", daemon=True).start()

    @property
    def away_s(self) -> float:
        """Seconds since the device was lost."""
        return time.monotonic() - self._began_s

    def wait(self, seconds: float) -> Connection | None:
        """The new connection, if it is there within the time."""
        return self._connection if self._done.wait(seconds) else None

    def give_up(self) -> None:
        """End the search, and the connection if it has just been found."""
        with self._lock:
            self._given_up.set()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        self._lost.close()
        pause_s = _FIRST_RETRY_S
        while not self._given_up.wait(pause_s):
            pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
            try:
                connection = Connection(self._library, self._find())
            except Exception as error:  # whatever a sound system raises while devices come and go: the next try may do
                _LOG.debug("the microphone is not back: %s", error)
                continue
            with self._lock:
                if not self._given_up.is_set():
                    self._connection = connection
                    self._done.set()
                    return
            connection.close()

    def _find(self) -> InputDevice:
        """The same device, which may have got another index; or what is the default now."""
        devices = self._library.devices()
        before = self._lost.device
        for device in devices:
            if not self._wants_default and (device.name, device.api) == (before.name, before.api):
                return device
        return choose_device(devices, None if self._wants_default else before.name)


def _nothing() -> Samples:
    return np.zeros(0, np.int16)


def _log_event(event: MicrophoneEvent) -> None:
    if event.kind == "lost":
        _LOG.warning("microphone %r is lost, waiting for it", event.device)
    else:
        _LOG.warning("microphone %r is back after %.1f s", event.device, event.away_s)
