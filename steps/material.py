"""What a model is measured on: real recordings where there are some, else voices that training never heard."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from nanowakeword.errors import ConfigError
from nanowakeword.evaluation.recordings import Recording
from steps.clippack import ClipPack
from steps.recordings import KEYWORD, load_recordings

__all__ = ["Material", "MeasuredSplit", "find_material", "recording_of_clip"]

MeasuredSplit = Literal["calibration", "test"]
REAL: Final = "real speech"
SYNTHETIC: Final = "synthetic speech"
# What is played into a stream that must stay silent; rooms (rir) are no recordings of anything.
_NEGATIVE_KINDS: Final = ("speech", "noise", "music", KEYWORD)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Recordings of one split.

    Attributes:
        positives: of the phrase.
        negatives: without it.
        talkers: those negatives that are speech, to make babble of.
        keywords: numbers of the negatives that are real recordings of another keyword, by keyword.
        positives_basis: ``real speech`` or ``synthetic speech``.
        negatives_basis: likewise.
    """

    positives: list[Recording]
    negatives: list[Recording]
    talkers: list[Recording]
    keywords: dict[str, list[int]]
    positives_basis: str
    negatives_basis: str

    @property
    def statement(self) -> str:
        """In plain words, how far the figures can be trusted."""
        if self.positives_basis == REAL and self.negatives_basis == REAL:
            return "Measured on real recordings of the phrase and on real recordings without it."
        if self.negatives_basis == REAL:
            return (
                "False accepts are measured on real recordings. There were no real recordings of the phrase: misses "
                "are measured on synthetic voices kept out of training, and people will be missed more often."
            )
        return (
            "There were no real recordings: everything is measured on synthetic voices kept out of training. It shows "
            "that the model works, not how well it does on people; expect more misses and more false accepts. "
            "Name a manifest of real recordings in corpus.real to know."
        )


def find_material(split: MeasuredSplit, *, phrase: str, clips: Path, corpus: Path) -> Material:
    """Collect the recordings of a split.

    Args:
        split: which.
        phrase: that is listened for.
        clips: folder of the stage synthesize.
        corpus: folder of the stage corpus.

    Raises:
        ConfigError: there is nothing to measure on.
    """
    real = [recording for recording in load_recordings(corpus) if recording.split == split]
    pack = ClipPack(clips)

    def spoken(*kinds: Literal["positive", "partial", "negative"]) -> list[Recording]:
        numbers = [number for kind in kinds for number in pack.select(kind=kind, split=split)]
        return [recording_of_clip(pack, number) for number in numbers]

    positives = [Recording.of_file(Path(item.path)) for item in real if item.is_of(phrase)]
    others = [item for item in real if item.kind.startswith(_NEGATIVE_KINDS) and not item.is_of(phrase)]
    keywords: defaultdict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(others):
        if item.kind.startswith(KEYWORD):
            keywords[item.kind.removeprefix(KEYWORD)].append(number)
    speech = [Recording.of_file(Path(item.path)) for item in others if item.kind == "speech"]
    negatives = [Recording.of_file(Path(item.path)) for item in others]
    material = Material(
        positives=positives or spoken("positive"),
        negatives=negatives or spoken("negative", "partial"),
        talkers=speech or spoken("negative"),
        keywords=dict(keywords),
        positives_basis=REAL if positives else SYNTHETIC,
        negatives_basis=REAL if negatives else SYNTHETIC,
    )
    if not (material.positives and material.negatives and material.talkers):
        raise ConfigError(
            f"nothing to measure on in the split {split!r}",
            got=f"{len(material.positives)} clips of the phrase, {len(material.negatives)} others",
            expected="at least one of each",
            hint="Raise synthesize.positives and synthesize.negatives, or add recordings to the manifest",
        )
    return material


def recording_of_clip(pack: ClipPack, number: int) -> Recording:
    """A clip as something to measure on."""
    clip = pack.clips[number]
    return Recording.of_array(pack.audio(number), name=f"clip {number}, {clip.engine} {clip.voice}: {clip.text}")
