"""How far one pronunciation is from another: the edit distance over sounds, similar sounds costing less.

Leaving out or putting in a sound costs 1, putting one for another costs their `unlikeness`; the least sum that turns
one pronunciation into the other is a metric:

    R. A. Wagner, M. J. Fischer, The string-to-string correction problem, JACM 21 (1974).
    https://doi.org/10.1145/321796.321811

A detector listens all the time, so what counts is whether some stretch of what is said sounds like the phrase:
`phrase_distances` compares the phrase with the nearest stretch and divides by the number of its sounds.

    P. H. Sellers, The theory and computation of evolutionary distances: pattern recognition, J. Algorithms 1 (1980).
    https://doi.org/10.1016/0196-6774(80)90016-4

So 0 is a text that holds the phrase, or a homophone; 0.4 one in which four sounds in ten are others, or more that are
only somewhat other; 1 one that has nothing of it. Many texts are compared at once: 40,000 words in 0.04 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from steps.articulation import split_sounds, unlikeness

__all__ = ["Pronunciations", "phrase_distances", "prefix_costs", "stretch_costs"]

Costs = npt.NDArray[np.float32]


class Pronunciations:
    """Many pronunciations, ready to be compared with one.

    Args:
        phonemes: of each, in IPA.

    Attributes:
        sounds: of each, as `split_sounds` gives them.
        lengths: number of sounds of each, ``[n]``.
    """

    def __init__(self, phonemes: Iterable[Iterable[str]]) -> None:
        self.sounds = [split_sounds(item) for item in phonemes]
        self._inventory = sorted({sound for item in self.sounds for sound in item})
        numbers = {sound: number for number, sound in enumerate(self._inventory)}
        self.lengths = np.array([len(item) for item in self.sounds], np.int64)
        self._codes = np.zeros((len(self.sounds), int(self.lengths.max(initial=0))), np.int64)
        for row, item in zip(self._codes, self.sounds, strict=True):
            row[: len(item)] = [numbers[sound] for sound in item]

    def __len__(self) -> int:
        return len(self.sounds)

    def reverse(self) -> Pronunciations:
        """The same, read backwards."""
        return Pronunciations(item[::-1] for item in self.sounds)

    def columns(self, sounds: Sequence[str]) -> Iterator[Costs]:
        """For the first sound of each, the second and so on: what it costs to put it for others, ``[len(sounds), n]``.

        Beyond the end of a pronunciation the costs mean nothing.
        """
        matrix = unlikeness(sounds, self._inventory).astype(np.float32)
        for codes in self._codes.T:
            yield matrix[:, codes]


def prefix_costs(phonemes: Iterable[str], others: Pronunciations) -> Costs:
    """Edit distances of each beginning of a pronunciation from each of others, whole.

    Returns:
        ``[m + 1, n]``: in row ``i`` those of its first ``i`` sounds; the last row is that of all its ``m`` sounds.
    """
    sounds = split_sounds(phonemes)
    found = _first_column(sounds, others)
    for length, column in enumerate(_columns(sounds, others, anywhere=False), start=1):
        ended = others.lengths == length
        found[:, ended] = column[:, ended]
    return found


def stretch_costs(phonemes: Iterable[str], others: Pronunciations) -> Costs:
    """Edit distance of a pronunciation from the nearest stretch of each of others, ``[n]``."""
    sounds = split_sounds(phonemes)
    least = _first_column(sounds, others)[-1]
    for length, column in enumerate(_columns(sounds, others, anywhere=True), start=1):
        inside = others.lengths >= length
        least[inside] = np.minimum(least[inside], column[-1][inside])
    return np.asarray(least)


def phrase_distances(phrase: Iterable[str], texts: Pronunciations) -> Costs:
    """How far the nearest stretch of each text is from a phrase, ``[n]``, from 0 to 1.

    Args:
        phrase: its phonemes, at least one sound.
        texts: what else is said.
    """
    sounds = split_sounds(phrase)
    distances: Costs = stretch_costs(sounds, texts) / np.float32(len(sounds))
    return distances


def _first_column(sounds: Sequence[str], others: Pronunciations) -> Costs:
    """Costs of leaving all sounds out, ``[m + 1, n]``."""
    return np.repeat(np.arange(len(sounds) + 1, dtype=np.float32)[:, None], len(others), axis=1)


def _columns(sounds: Sequence[str], others: Pronunciations, *, anywhere: bool) -> Iterator[Costs]:
    """The dynamic programme, column by column: costs ``[m + 1, n]`` of the sounds against what each began with.

    Args:
        sounds: of the one.
        others: the many.
        anywhere: what comes before costs nothing.
    """
    before = _first_column(sounds, others)
    for substitution in others.columns(sounds):
        column = before + (0 if anywhere else 1)  # one sound more of the other is put in
        column[1:] = np.minimum(before[1:] + 1, before[:-1] + substitution)
        for i in range(1, len(column)):
            np.minimum(column[i], column[i - 1] + 1, out=column[i])
        yield column
        before = column
