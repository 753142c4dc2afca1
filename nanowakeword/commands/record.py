"""``nanowakeword record "hey nano"``: recordings of the phrase from the microphone, each checked, to train with."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.microphone import Microphone, MicrophoneEvent, level_dbfs
from nanowakeword.takes import TakeFolder
from nanowakeword.utterance import UtteranceFinder

__all__ = ["add_arguments", "record_takes", "run"]

_EXAMPLES: Final = """\
examples:
  nanowakeword record "hey nano"                         ten recordings, in recordings/hey_nano
  nanowakeword record "hey nano" -n 30                   go on until there are thirty
  nanowakeword record "hey nano" -o voices/anna          a folder per person, if several say it
  nanowakeword record "hey nano" --device USB            another microphone, by a part of its name

Then train with them: corpus.positive_data_path in params.yaml is the folder, or the one above if several say it.
Come back on another day: recordings of several sittings are worth more, and only they show what a model does later.
"""
# So that they differ as they will later on.
_WAYS: Final = (
    "as you always say it",
    "once more",
    "a little slower",
    "from two steps away",
    "quietly",
    "in a hurry",
    "as a question",
    "while you look away",
    "from the other end of the room",
    "louder, as if it had not heard you",
)
_RESTLESS_S: Final = 6.0
_METER_WIDTH: Final = 30
_METER_DBFS: Final = -70.0
_UNSAFE: Final = re.compile(r"[^\w-]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Record yourself saying the phrase. Each recording is checked for level, clipping, length and noise around\n"
        "it, and taken again if it will not do. It is kept as WAV, 16 bit, 16 kHz, with half a second of the room on\n"
        "either side; takes.jsonl beside them says what they are, and which are for training and which for the test.\n"
        "Ctrl-C ends it; the same command goes on where it stopped."
    )
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("phrase", metavar="PHRASE", help="the words to say")
    add("-n", "--number", metavar="N", type=int, default=10, help="recordings that there shall be in the folder (10)")
    add("-o", "--output", metavar="DIR", type=Path, help="folder (recordings/PHRASE)")
    add("--device", metavar="D", help="microphone: number or part of its name (the system's default)")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    phrase = " ".join(options.phrase.split())
    if not any(c.isalpha() for c in phrase):
        raise ConfigError("the phrase to record", got=repr(options.phrase), expected='words, such as "hey nano"')
    if options.number < 1:
        raise ConfigError("bad number of recordings", got=options.number, expected="1 or more")
    folder = options.output or Path("recordings", _UNSAFE.sub("_", phrase.lower()).strip("_"))
    takes = TakeFolder(folder, phrase=phrase, now=datetime.now(UTC))
    there = len(takes.takes)
    if there >= options.number:
        _say(f"{folder} has {_recordings(there)} of {phrase!r}; -n {there + 10} makes ten more")
        return 0
    interrupted = False
    with Microphone(options.device, on_event=_show_event) as microphone:
        _say(f"recording from {microphone.device.name}; Ctrl-C ends, the same command goes on")
        try:
            record_takes(microphone, takes, number=options.number, phrase=phrase, device=microphone.device.name)
        except KeyboardInterrupt:
            interrupted = True
    counts = ", ".join(f"{number} {split}" for split, number in takes.count().items())
    _say(f"{folder}: {_recordings(len(takes.takes))} of {phrase!r} ({counts})")
    if not interrupted:
        _say(f"to train with them, set in params.yaml  corpus: positive_data_path: {folder.absolute()}")
    return 130 if interrupted else 0


def record_takes(source: Iterable[Samples | None], takes: TakeFolder, *, number: int, phrase: str, device: str) -> None:
    """Take recordings from a stream until a folder has enough, or the stream ends.

    Args:
        source: blocks, int16 ``[n]``; None where audio is missing.
        takes: where to.
        number: of recordings that there shall be.
        phrase: what to say.
        device: name of the microphone.

    Raises:
        StorageError: the disk is full or refuses to write.
    """
    finder, meter = UtteranceFinder(), _Meter()
    warned = False
    _say("be quiet for a second, please")
    _prompt(phrase, len(takes.takes), number)
    for block in source:
        if block is None:
            finder.reset()
            meter.clear()
            _say("audio was lost; please begin again")
            continue
        meter.show(block)
        for utterance in finder.feed(block):
            meter.clear()
            if utterance.problem:
                _say(f"  {utterance.problem}")
            else:
                take = takes.add(
                    utterance.samples,
                    at=datetime.now(UTC),
                    device=device,
                    seconds=utterance.seconds,
                    level_dbfs=utterance.level_dbfs,
                    background_dbfs=utterance.background_dbfs,
                )
                above_db = take.level_dbfs - take.background_dbfs
                _say(f"  kept: {take.seconds:.1f} s, {take.level_dbfs:.0f} dBFS, {above_db:.0f} dB above the room")
            if len(takes.takes) >= number:
                return
            _prompt(phrase, len(takes.takes), number)
        if finder.restless_s > _RESTLESS_S and not warned:
            meter.clear()
            _say("  it is never quiet here; turn off what makes noise, or wait until it stops")
        warned = finder.restless_s > _RESTLESS_S
    meter.clear()


def _prompt(phrase: str, there: int, number: int) -> None:
    _say(f'{there + 1} of {number}: say "{phrase}", {_WAYS[there % len(_WAYS)]}')


def _recordings(number: int) -> str:
    return "1 recording" if number == 1 else f"{number} recordings"


def _show_event(event: MicrophoneEvent) -> None:
    if event.kind == "lost":
        _say(f"microphone lost, waiting for {event.device}")
    else:
        _say(f"microphone is back after {event.away_s:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Meter:
    """The level, in place; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._width = 0

    def show(self, block: Samples) -> None:
        """Show the level of a block."""
        if not self._live or not len(block):
            return
        level = level_dbfs(block)
        full = round((1.0 - max(level, _METER_DBFS) / _METER_DBFS) * _METER_WIDTH)
        columns = shutil.get_terminal_size().columns - 1
        line = f"  [{'#' * full}{'-' * (_METER_WIDTH - full)}] {level:4.0f} dBFS"[:columns]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def clear(self) -> None:
        """Take it away."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0
