"""An energy gate: closed while the room is as quiet as it ever was in the last seconds, open when something rises.

Level of a hop: the power of a comb ``x[n] - x[n - 8]``, which passes 0.2 to 1.8 kHz, where speech is strong, and takes
16 dB off mains hum, more off rumble, all off a constant offset. The loudest 20 ms of the hop are compared with a floor:

    floor   the quietest whole hop of the last 8 s, kept as the minima of blocks of 0.96 s
    open    if the loudest 20 ms exceed the floor by the margin

Speech has pauses within any such time, so that talking does not raise the floor, as it would raise an average; a fan
that is switched on holds the gate open for 9 s at most. A room that falls silent is followed within a hop, digital
silence included: a microphone that mutes itself between words must not make the words themselves the floor.

The floor is kept between two limits: below the lower one, a still microphone's own noise would open the gate; above
the upper one, a sound is so loud that the gate is open whatever it is.

    R. Martin, Noise power spectral density estimation based on optimal smoothing and minimum statistics, IEEE
    Transactions on Speech and Audio Processing 9 (2001).  https://doi.org/10.1109/89.928915
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_SAMPLES

__all__ = ["EnergyVad"]

# Chosen on the calibration part of real recordings: benchmarks/standby.py.
_MARGIN_DB: Final = 6.0
_MARGINS_DB: Final = (3.0, 30.0)
_BLOCKS: Final = 8
_BLOCK_HOPS: Final = 12
_LAG_SAMPLES: Final = 8
_FRAMES: Final = 4  # in a hop, of 20 ms less two samples each: the comb is fed by the hop alone
_FRAME_SAMPLES: Final = (HOP_SAMPLES - _LAG_SAMPLES) // _FRAMES
_LOWEST_FLOOR_DBFS: Final = -78.0
_HIGHEST_FLOOR_DBFS: Final = -36.0


class EnergyVad:
    """Opens when a hop is louder than the room. Costs a few microseconds per hop.

    For the first 0.96 s after a reset, before it knows the room, it opens for anything above -72 dBFS (with the default
    margin), so that a phrase in the very first hop is not lost.

    Args:
        margin_db: decibels above the floor at which it opens, 3 to 30; fewer open it more often. None: 6.

    Raises:
        ConfigError: the margin is out of range.
    """

    def __init__(self, *, margin_db: float | None = None) -> None:
        margin_db = _MARGIN_DB if margin_db is None else margin_db
        lowest, highest = _MARGINS_DB
        if not lowest <= margin_db <= highest:
            raise ConfigError(
                "threshold of the energy VAD",
                got=f"{margin_db:g}",
                expected=f"{lowest:g} to {highest:g} dB above the room's noise",
            )
        self.margin_db = margin_db
        self._ratio = 10 ** (margin_db / 10)
        self._minima: deque[float] = deque(maxlen=_BLOCKS)
        self.reset()

    @property
    def context_hops(self) -> int:
        """Past hops that can change a decision: the blocks that are kept, and the one that fills."""
        return (_BLOCKS + 1) * _BLOCK_HOPS

    def reset(self) -> None:
        """Forget the room."""
        self._minima.clear()
        self._quietest = np.inf
        self._block_hops = 0

    def feed(self, hops: Samples) -> npt.NDArray[np.bool_]:
        """Judge whole hops.

        Args:
            hops: int16 ``[1280*k]``, ``k >= 0``.

        Returns:
            bool ``[k]``: whether it is open.
        """
        return np.array([self._judge(*frames) for frames in _frame_energies(hops)], np.bool_)

    def _judge(self, *frames: float) -> bool:
        """Take the energies of a hop's frames, set the floor, compare."""
        self._quietest = min(self._quietest, sum(frames) / _FRAMES)
        floor = min(self._quietest, *self._minima) if self._minima else _LOWEST_FLOOR
        self._block_hops += 1
        if self._block_hops == _BLOCK_HOPS:
            self._minima.append(self._quietest)
            self._quietest, self._block_hops = np.inf, 0
        return max(frames) > min(max(floor, _LOWEST_FLOOR), _HIGHEST_FLOOR) * self._ratio


def _frame_energies(hops: Samples) -> list[list[float]]:
    """Energy of each frame behind the comb, ``[k][4]``.

    Squares of whole numbers and their sums are exact in double precision: the same however the audio is cut.
    """
    audio = hops.reshape(-1, HOP_SAMPLES).astype(np.float64)
    combed = (audio[:, _LAG_SAMPLES:] - audio[:, :-_LAG_SAMPLES]).reshape(-1, _FRAMES, _FRAME_SAMPLES)
    energies: list[list[float]] = np.einsum("kfn,kfn->kf", combed, combed).tolist()
    return energies


def _frame_energy(dbfs: float) -> float:
    """Energy of a frame of this level; 0 dBFS is an rms of 32,768."""
    return _FRAME_SAMPLES * 32_768.0**2 * float(10 ** (dbfs / 10))


_LOWEST_FLOOR: Final = _frame_energy(_LOWEST_FLOOR_DBFS)
_HIGHEST_FLOOR: Final = _frame_energy(_HIGHEST_FLOOR_DBFS)
