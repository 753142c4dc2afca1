"""What a model is measured on: real recordings where there are enough, else voices that training never heard, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from nanowakeword.errors import ConfigError
from nanowakeword.evaluation.recordings import Recording
from steps.clippack import ClipPack
from steps.recordings import KEYWORD, load_recordings
from steps.recordings import Recording as Spoken

__all__ = ["Material", "MeasuredSplit", "find_material", "recording_of_clip"]

MeasuredSplit = Literal["calibration", "test"]
REAL: Final = "real speech"
SYNTHETIC: Final = "synthetic speech"
BOTH: Final = "real and synthetic speech"
# Fewer say little alone: of 20 recordings of the phrase none missed may still be 14 % (95 %), and in half an hour
# without it none heard may still be 6 an hour.
_ENOUGH_POSITIVES: Final = 20
_ENOUGH_SPEECH_S: Final = 1_800.0
# What is played into a stream that must stay silent; rooms (rir) are no recordings of anything.
_NEGATIVE_KINDS: Final = ("speech", "noise", "music", KEYWORD)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Recordings of one split.

    Attributes:
        positives: of the phrase.
        negatives: without it.
        negative_kinds: of each of them: ``speech``, ``noise``, ``music`` or ``other phrases``.
        talkers: those negatives that are speech, to make babble of.
        keywords: numbers of the negatives that are real recordings of another keyword, by keyword.
        positives_basis: ``real speech``, ``synthetic speech``, or both where real recordings are few.
        negatives_basis: likewise.
        real_positives: how many of the positives are real.
    """

    positives: list[Recording]
    negatives: list[Recording]
    negative_kinds: list[str]
    talkers: list[Recording]
    keywords: dict[str, list[int]]
    positives_basis: str
    negatives_basis: str
    real_positives: int

    @property
    def statement(self) -> str:
        """In plain words, how far the figures can be trusted."""
        if self.positives_basis == REAL and self.negatives_basis == REAL:
            return "Measured on real recordings of the phrase and on real recordings without it."
        if self.positives_basis == SYNTHETIC and self.negatives_basis == SYNTHETIC:
            return (
                "There were no real recordings: everything is measured on synthetic voices kept out of training. It "
                "shows that the model works, not how well it does on people; expect more misses and more false "
                "accepts. Name a manifest of real recordings in corpus.real to know."
            )
        accepts = {
            REAL: "False accepts are measured on real recordings.",
            BOTH: "There was little real speech: false accepts are measured on it and on synthetic voices.",
            SYNTHETIC: "There was no real speech: false accepts are measured on synthetic voices; expect more of them.",
        }
        misses = {
            REAL: "Misses are measured on real recordings of the phrase.",
            BOTH: (
                f"Misses are measured on {self.real_positives} real recordings of the phrase, too few to stand alone, "
                "and on synthetic voices kept out of training."
            ),
            SYNTHETIC: (
                "There were no real recordings of the phrase: misses are measured on synthetic voices kept out of "
                "training, and people will be missed more often."
            ),
        }
        return f"{accepts[self.negatives_basis]} {misses[self.positives_basis]}"


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

    positives = [_of_file(item) for item in real if item.is_of(phrase)]
    others = [item for item in real if item.kind.startswith(_NEGATIVE_KINDS) and not item.is_of(phrase)]
    speech = [item for item in others if item.kind.startswith(("speech", KEYWORD))]
    speech_s = sum(item.seconds for item in speech)
    talkers = [_of_file(item) for item in speech if item.kind == "speech"]
    keywords: defaultdict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(others):
        if item.kind.startswith(KEYWORD):
            keywords[item.kind.removeprefix(KEYWORD)].append(number)
    enough = {"positives": len(positives) >= _ENOUGH_POSITIVES, "negatives": speech_s >= _ENOUGH_SPEECH_S}
    synthetic = [] if enough["negatives"] else spoken("negative", "partial")
    material = Material(
        positives=positives + ([] if enough["positives"] else spoken("positive")),
        negatives=[_of_file(item) for item in others] + synthetic,
        negative_kinds=[_kind(item) for item in others] + ["speech"] * len(synthetic),
        talkers=talkers + ([] if enough["negatives"] and talkers else spoken("negative")),
        keywords=dict(keywords),
        positives_basis=_basis(positives, enough=enough["positives"]),
        negatives_basis=_basis(speech, enough=enough["negatives"]),
        real_positives=len(positives),
    )
    if not (material.positives and material.negatives and material.talkers):
        raise ConfigError(
            f"nothing to measure on in the split {split!r}",
            got=f"{len(material.positives)} clips of the phrase, {len(material.negatives)} others",
            expected="at least one of each",
            hint="Raise synthesize.positives and synthesize.negatives, or add recordings to the manifest",
        )
    return material


def _basis(real: Sequence[object], *, enough: bool) -> str:
    if not real:
        return SYNTHETIC
    return REAL if enough else BOTH


def _kind(item: Spoken) -> str:
    """That of a recording without the phrase, in plain words."""
    return next((kind for kind in _NEGATIVE_KINDS if kind != KEYWORD and item.kind.startswith(kind)), "other phrases")


def _of_file(item: Spoken) -> Recording:
    return Recording.of_file(Path(item.path))


def recording_of_clip(pack: ClipPack, number: int) -> Recording:
    """A clip as something to measure on."""
    clip = pack.clips[number]
    return Recording.of_array(pack.audio(number), name=f"clip {number}, {clip.engine} {clip.voice}: {clip.text}")
