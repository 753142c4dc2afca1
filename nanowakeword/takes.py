"""A folder of takes: recordings that a person made of a phrase, as WAV files, and ``takes.jsonl`` about them.

Each take belongs to a session, one sitting at one microphone, and to a split: training, calibration or test. The split
is decided when the take is made, may be changed by hand, and is what the pipeline goes by. Takes of the first session
are shared out one by one; later on a whole session has one split, so that a model is also tested on days, and places,
that it was not trained on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.kept_files import replace_file, to_line, to_wav

__all__ = ["INDEX", "Take", "TakeFolder", "read_takes"]

TakeSplit = Literal["train", "calibration", "test"]

INDEX: Final = "takes.jsonl"
# Of ten takes, six train, one calibrates, three test.
_SHARES: Final[dict[TakeSplit, float]] = {"train": 0.6, "calibration": 0.1, "test": 0.3}
# Who goes on within this time still sits there.
_SAME_SITTING: Final = timedelta(minutes=30)
_UNSAFE: Final = re.compile(r"[^\w-]+")


@dataclass(frozen=True, kw_only=True)
class Take:
    """A line of ``takes.jsonl``.

    Attributes:
        file: name of the WAV file, beside the index.
        phrase: what was said.
        split: train, calibration or test.
        session: one sitting at one microphone; the time at which it began.
        time: when it was recorded, ISO 8601, UTC.
        device: name of the microphone.
        seconds: length of what was said.
        level_dbfs: level of what was said, root mean square in dB below full scale.
        background_dbfs: level of the room around it.
    """

    file: str
    phrase: str
    split: TakeSplit
    session: str
    time: str
    device: str
    seconds: float
    level_dbfs: float
    background_dbfs: float


def read_takes(folder: Path) -> list[Take]:
    """Takes of a folder whose files are there; empty where there is no index.

    Raises:
        ConfigError: a line of the index is none of ours.
    """
    path = folder / INDEX
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from None
    takes = [_read_line(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    return [take for take in takes if (folder / take.file).is_file()]


def _read_line(line: str, where: str) -> Take:
    try:
        row = json.loads(line)
        take = Take(**{key: row[key] for key in Take.__dataclass_fields__})
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{where} is no take ({error!r})", hint="Mend the line or remove it") from None
    if take.split not in get_args(TakeSplit):
        raise ConfigError(f"{where}: split", got=repr(take.split), expected=", ".join(get_args(TakeSplit)))
    try:
        datetime.fromisoformat(take.time).astimezone(UTC)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: time", got=repr(take.time), expected="ISO 8601") from None
    if not isinstance(take.file, str) or Path(take.file).name != take.file:
        raise ConfigError(f"{where}: file", got=repr(take.file), expected="the name of a file beside it")
    return take


class TakeFolder:
    """A folder that takes of one phrase are added to.

    Args:
        folder: made if it is not there.
        phrase: what is said.
        now: time of the sitting.

    Attributes:
        session: the last one of the folder if it is half an hour old at most, else a new one.

    Raises:
        ConfigError: the folder's index is damaged.
        StorageError: the folder cannot be made.
    """

    def __init__(self, folder: Path, *, phrase: str, now: datetime) -> None:
        self._folder = folder
        self._phrase = phrase
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot keep recordings in {folder}", got=error.strerror) from None
        self._all = read_takes(folder)
        last = max(self._all, key=lambda take: take.time, default=None)
        fresh = last is None or now - datetime.fromisoformat(last.time).astimezone(UTC) > _SAME_SITTING
        self.session = now.astimezone(UTC).isoformat(timespec="seconds") if last is None or fresh else last.session
        self._split: TakeSplit | None = None

    @property
    def takes(self) -> list[Take]:
        """Takes of the phrase, whose files are there."""
        wanted = _words(self._phrase)
        return [take for take in self._all if _words(take.phrase) == wanted]

    def count(self) -> Mapping[str, int]:
        """Takes of the phrase in each split."""
        counted = Counter(take.split for take in self.takes)
        return {split: counted[split] for split in _SHARES}

    def add(self, samples: Samples, *, at: datetime, device: str, **measured: float) -> Take:
        """Write a take and a line about it; each file is replaced at once.

        Args:
            samples: int16 ``[n]``, 16 kHz mono.
            at: when it was recorded.
            device: name of the microphone.
            measured: seconds, level_dbfs and background_dbfs of the line.

        Raises:
            StorageError: the disk is full or refuses to write.
        """
        at = at.astimezone(UTC)
        stamp = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z"
        take = Take(
            file=f"{_UNSAFE.sub('_', self._phrase.lower())[:60]}_{stamp}.wav",
            phrase=self._phrase,
            split=self._next_split(),
            session=self.session,
            time=at.isoformat(timespec="milliseconds"),
            device=device,
            **{name: round(value, 2) for name, value in measured.items()},
        )
        lines = [*map(asdict, self._all), asdict(take)]
        try:
            replace_file(self._folder / take.file, to_wav(samples))
            replace_file(self._folder / INDEX, b"".join(map(to_line, lines)))
        except OSError as error:
            raise StorageError(f"cannot keep recordings in {self._folder}", got=error.strerror) from None
        self._all.append(take)
        return take

    def _next_split(self) -> TakeSplit:
        """The split that lacks most; for a later session one for all of its takes."""
        takes = self.takes
        session = [take for take in takes if take.session == self.session]
        if len(session) < len(takes) and session:
            return session[-1].split
        counts = Counter(take.split for take in takes)
        return max(_SHARES, key=lambda split: _SHARES[split] * (len(takes) + 1) - counts[split])


def _words(phrase: str) -> str:
    return " ".join(phrase.split()).casefold()
