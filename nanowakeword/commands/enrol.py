"""``nanowakeword enrol M.onnx --positives DIR --negatives DIR -o owner.json``: fire for the owner's voice only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from nanowakeword.arrays import Samples
from nanowakeword.console import ProgressLine
from nanowakeword.errors import AudioError
from nanowakeword.evaluation.recordings import Recording, find_recordings
from nanowakeword.graph import Graph
from nanowakeword.owner import MIN_RECORDINGS, OwnerVerifier
from nanowakeword.postfilter import check_threshold
from nanowakeword.voiceprint import find_phrase, hop_scores

__all__ = ["add_arguments", "enrol_owner", "run"]

_EXAMPLES: Final = """\
examples:
  nanowakeword enrol hey_nano.onnx --positives me/ --negatives family/ radio/ -o me.json

what the recordings buy:
  me/      5 to 10 times the phrase, as you say it, where the microphone stands, with a second of the room before it
  family/  the phrase said by others, twice by each: five people are worth far more than one
  radio/   other speech: alone it tells you from a radio, but not from a person who says the phrase
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Learn the owner's voice from a few recordings of the phrase, so that a program can let a model fire for the\n"
        "owner only. Folders are searched with their subfolders. Recordings that cannot be read, and recordings of\n"
        "the owner in which the model does not hear the phrase, are named and left out. It is a convenience and no\n"
        "lock: a recording of the owner passes."
    )
    parser.epilog = _EXAMPLES
    parser.add_argument("model", metavar="M.onnx", type=Path, help="model file")
    parser.add_argument("--positives", metavar="DIR", type=Path, required=True, help="the owner, saying the phrase")
    parser.add_argument(
        "--negatives", metavar="DIR", type=Path, nargs="+", required=True, help="others, saying the phrase or talking"
    )
    parser.add_argument("-o", "--output", metavar="owner.json", type=Path, required=True, help="file to write")
    parser.add_argument("--threshold", metavar="T", type=float, help="score at which the model will fire (its own)")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    graph = Graph.load(options.model)
    enrol_owner(
        graph,
        positives=find_recordings(options.positives),
        negatives=[item for folder in options.negatives for item in find_recordings(folder)],
        output=options.output,
        threshold=options.threshold,
    )
    return 0


def enrol_owner(
    graph: Graph,
    *,
    positives: Iterable[Recording],
    negatives: Iterable[Recording],
    output: Path,
    threshold: float | None,
) -> None:
    """Enrol an owner, write the verifier and print what it was made of.

    Raises:
        AudioError: too few recordings can be used.
        ConfigError: the threshold is out of range.
        StorageError: the file cannot be written.
    """
    fires_at = graph.card.threshold if threshold is None else check_threshold(threshold)
    owner = []
    for name, clip in _read(positives, what="the owner"):
        if find_phrase(hop_scores(graph, clip), threshold=fires_at) is None:
            _leave_out(name, f"the model does not hear {graph.card.phrase!r}")
        else:
            owner.append(clip)
    others = [clip for _, clip in _read(negatives, what="others")]
    verifier = OwnerVerifier.enrol(graph, owner, others, model_threshold=fires_at)
    verifier.save(output)
    passed = sum(score >= verifier.threshold for score in verifier.left_out)
    print(f"owner      {len(owner)} recordings; {passed} of them pass a verifier enrolled without them")
    print(f"others     {verifier.speakers} recordings of people who say it, {len(others) - verifier.speakers} others")
    print(f"threshold  {verifier.threshold:.3f}")
    print(f"written    {output}")
    if not verifier.speakers:
        print("nanowakeword: nobody but the owner says the phrase, so many who do will pass", file=sys.stderr)


def _read(recordings: Iterable[Recording], *, what: str) -> list[tuple[str, Samples]]:
    """Names and samples of the recordings that can be read."""
    found = []
    recordings = list(recordings)
    line = ProgressLine()
    try:
        for done, recording in enumerate(recordings, start=1):
            try:
                found.append((recording.name, recording.read()))
            except AudioError as error:
                line.close()
                _leave_out(recording.name, str(error))
            line.update(what, done, len(recordings))
    finally:
        line.close()
    if len(found) < MIN_RECORDINGS:
        raise AudioError(
            f"too few recordings of {what} can be read", got=len(found), expected=f"{MIN_RECORDINGS}, better 5 to 10"
        )
    return found


def _leave_out(name: str, reason: str) -> None:
    print(f"nanowakeword: left out {name}: {reason}", file=sys.stderr)
