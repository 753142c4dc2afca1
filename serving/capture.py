"""Keeps what streams heard, and what they nearly heard, in a folder for the next training (see `nanowakeword.keep`).

Off unless the server is given a folder. A thread of its own copies, cuts and writes, so that no stream waits for a
disk. Where the thread falls behind, streams are no longer watched, and the log says so.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from nanowakeword.arrays import Floats, Samples
from nanowakeword.keep import Keeper
from nanowakeword.recording_store import RecordingStore
from nanowakeword.results import Detection

__all__ = ["Capture", "CapturedStream"]

_LOG: Final = logging.getLogger(__name__)
# Pieces, of 80 ms most of them: 25 s of 20 streams.
_MOST_WAITING: Final = 8_192


class Capture:
    """A folder of recordings of all streams of one process.

    Args:
        folder: made if it is not there; only one process may use it.
        max_mb: size of all recordings, in 10^6 bytes; the oldest go first.
        near_misses: whether to keep them, too.

    Raises:
        StorageError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, *, max_mb: float, near_misses: bool) -> None:
        self._store = RecordingStore(folder, max_mb=max_mb)
        self.near_misses = near_misses
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    def watch(self, thresholds: Mapping[str, float]) -> CapturedStream:
        """Begin to watch a stream.

        Args:
            thresholds: by model, at or above which it fires.
        """
        return CapturedStream(self, Keeper(self._store, thresholds=thresholds))

    def put(self, task: Callable[[], None]) -> bool:
        """Have the thread do something; False where too much waits already."""
        if self._tasks.qsize() >= _MOST_WAITING:
            return False
        self._tasks.put(task)
        return True

    def close(self) -> None:
        """End the thread, after what waits is done."""
        self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception:
                _LOG.exception("cannot keep what a stream heard")


class CapturedStream:
    """Watches one stream; made by `Capture.watch`."""

    def __init__(self, capture: Capture, keeper: Keeper) -> None:
        self._capture = capture
        self._keeper = keeper
        self._watching = True

    def feed(self, audio: Samples, scores: Mapping[str, Floats], detections: Sequence[Detection]) -> None:
        """Take whole hops int16 ``[1280*k]``, ``k >= 1``, and what the models made of them."""
        if not self._watching:
            return
        # Without scores nothing is ever near.
        highest = {name: float(values.max()) for name, values in scores.items()} if self._capture.near_misses else {}
        self._watching = self._capture.put(lambda: self._keeper.feed(audio, highest, tuple(detections)))
        if not self._watching:
            _LOG.warning("what a stream hears is no longer kept: the disk is too slow")

    def end(self) -> None:
        """The stream has ended: what still waits for audio is kept as it is."""
        if self._watching:
            self._watching = False
            self._capture.put(self._keeper.end)
