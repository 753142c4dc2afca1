"""What the benchmarks of filters listen to: the recordings of one split, and rooms to play the phrase in.

Recordings are those that the stage corpus split, so that what was set on the calibration part is measured on the test
part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from nanowakeword.arrays import Floats, Samples
from nanowakeword.evaluation.babble import Babble, active_rms
from nanowakeword.evaluation.recordings import Recording
from nanowakeword.evaluation.streams import Joined
from nanowakeword.timing import HOP_SAMPLES
from steps.recordings import KEYWORD, load_recordings

__all__ = ["PinkNoise", "Playback", "Split", "pink_noise"]

_FULL_SCALE: Final = 32_768.0


@dataclass(frozen=True, kw_only=True)
class Split:
    """Recordings of one split.

    Attributes:
        positives: of the phrase.
        negatives: all others, other phrases included.
        by_kind: those among them that are speech, noise and music.
    """

    positives: tuple[Recording, ...]
    negatives: tuple[Recording, ...]
    by_kind: dict[str, tuple[Recording, ...]]

    @classmethod
    def load(cls, corpus: Path, *, phrase: str, split: Literal["calibration", "test"]) -> Split:
        """Read the list that the stage corpus wrote into a folder."""
        listed = [item for item in load_recordings(corpus) if item.split == split and item.kind != "rir"]
        files = {item: Recording.of_file(Path(item.path), name=Path(item.path).name) for item in listed}
        others = {item: file for item, file in files.items() if not item.is_of(phrase)}
        return cls(
            positives=tuple(file for item, file in files.items() if item.is_of(phrase)),
            negatives=tuple(others.values()),
            by_kind={
                kind: tuple(file for item, file in others.items() if item.kind.startswith(prefix))
                for kind, prefix in {
                    "noise": "noise",
                    "music": "music",
                    "speech": "speech",
                    "other phrases": KEYWORD,
                }.items()
            },
        )


class PinkNoise:
    """Stationary noise of one level in the whole stream.

    Args:
        level_dbfs: its rms.
        seed: of the noise.
    """

    def __init__(self, *, level_dbfs: float, seed: int) -> None:
        self._rms = _FULL_SCALE * 10 ** (level_dbfs / 20)
        self._seed = seed

    def mix(self, joined: Joined) -> Joined:
        """Add the noise."""
        noise = pink_noise(len(joined.audio), rms=self._rms, seed=self._seed + joined.number)
        return _with_audio(joined, joined.audio.astype(np.float32) + noise)


class Playback:
    """Every recording played at one level into a room.

    Args:
        level_dbfs: rms of what is said in each recording. None: as recorded.
        snr_db: level above the room's noise. None: no noise.
        talkers: recordings that the noise, babble, is made of. Empty: pink noise.
        seed: of the noise.
    """

    def __init__(
        self,
        *,
        level_dbfs: float | None = None,
        snr_db: float | None = None,
        talkers: Sequence[Recording] = (),
        seed: int = 0,
    ) -> None:
        self._level_dbfs = level_dbfs
        self._noise: Babble | PinkNoise | None = None
        if snr_db is not None and talkers:
            self._noise = Babble(talkers, snr_db=snr_db, seed=seed)
        elif snr_db is not None and level_dbfs is not None:
            self._noise = PinkNoise(level_dbfs=level_dbfs - snr_db, seed=seed)

    def mix(self, joined: Joined) -> Joined:
        """Set the levels, then add the noise."""
        if self._level_dbfs is not None:
            audio = joined.audio.astype(np.float32)
            rms = _FULL_SCALE * 10 ** (self._level_dbfs / 20)
            for place in joined.placements:
                level = active_rms(joined.audio[place.start : place.stop])
                audio[place.start : place.stop] *= np.float32(rms / max(level, 1.0))
            joined = _with_audio(joined, audio)
        return joined if self._noise is None else self._noise.mix(joined)


def pink_noise(n_samples: int, *, rms: float, seed: int) -> Floats:
    """Noise whose power falls by 3 dB per octave from 50 Hz, float32 ``[n]`` on the scale of int16."""
    n = n_samples + -n_samples % HOP_SAMPLES
    spectrum = np.fft.rfft(np.random.default_rng([seed, 0x9]).normal(size=n))
    hertz = np.fft.rfftfreq(n, 1 / 16_000)
    spectrum *= np.where(hertz < 50.0, 0.0, 1.0 / np.sqrt(np.maximum(hertz, 50.0)))
    noise: Floats = np.fft.irfft(spectrum, n)[:n_samples].astype(np.float32)
    return noise * np.float32(rms / np.sqrt(np.mean(np.square(noise))))


def _with_audio(joined: Joined, audio: Floats) -> Joined:
    samples: Samples = np.clip(np.rint(audio), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
    return Joined(number=joined.number, audio=samples, placements=joined.placements)
