"""Real words in place of a phrase's: one of them, two together, all of them, or longer words that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from steps.articulation import split_sounds
from steps.lexicon import Lexicon
from steps.phonetic_distance import Pronunciations, prefix_costs, stretch_costs

__all__ = ["Candidate", "similar_words"]

Words = list[list[str]]

_NEAREST: Final = 1_000
_HOLDING: Final = 60
# Pairs are made of common words, so that they are something people might say.
_COMMON: Final = 12_000
_PAIR_NEAREST: Final = 30
_PAIR_FARTHER: Final = 40
_PAIR_FARTHEST_RANK: Final = 1_500
_PAIRS_PER_CUT: Final = 600
_SOMEWHAT: Final = 0.75


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Words to compare with a phrase.

    Attributes:
        text: the words.
        source: what was replaced in which way; candidates of all sources get their turn.
        rank: of the rarest new word among the words of the language, 0 being the most common.
    """

    text: str
    source: str
    rank: int


def similar_words(words: Sequence[str], spoken: Words, *, lexicon: Lexicon, seed: int) -> Iterator[Candidate]:
    """Texts that sound somewhat like a phrase, near and far.

    Args:
        words: of the phrase.
        spoken: phonemes of each, or of the phrase as one where espeak-ng joins its words.
        lexicon: words to take.
        seed: of the draws.
    """
    if not lexicon.words:
        return
    if len(spoken) != len(words):
        words, spoken = [" ".join(words)], [[phoneme for word in spoken for phoneme in word]]
    for before, new, after, source in _replacements(words, spoken, lexicon, np.random.default_rng([seed, 0x30D5])):
        text = " ".join([*before, *(lexicon.words[index] for index in new), *after])
        yield Candidate(text=text, source=source, rank=max(new))


def _replacements(
    words: Sequence[str], spoken: Words, lexicon: Lexicon, rng: np.random.Generator
) -> Iterator[tuple[Sequence[str], Sequence[int], Sequence[str], str]]:
    """Words of the phrase before, numbers of the new words, words of the phrase after, and what this is."""
    n = len(words)
    common = lexicon.first(_COMMON).pronunciations
    backwards = common.reverse()
    for i, j in combinations(range(n + 1), 2):
        if 2 < j - i < n:
            continue
        target = split_sounds(phoneme for word in spoken[i:j] for phoneme in word)
        name = " ".join(words[i:j])
        for index in _one(target, lexicon, alone=j - i == n):
            yield words[:i], [int(index)], words[j:], f"{name}: a word"
        for pair in _two(target, common, backwards, rng):
            yield words[:i], pair, words[j:], f"{name}: two words"
    # The phrase's end at the beginning of a longer word, and its beginning at the end of one.
    for index in _holding(spoken[-1], lexicon):
        yield words[:-1], [int(index)], [], "longer words"
    for index in _holding(spoken[0], lexicon):
        yield [], [int(index)], words[1:], "longer words"


def _one(target: list[str], lexicon: Lexicon, *, alone: bool) -> npt.NDArray[np.int64]:
    """Single words: the nearest, or all where they stand alone."""
    if alone:
        return np.arange(len(lexicon.words))
    return np.argsort(prefix_costs(target, lexicon.pronunciations)[-1], kind="stable")[:_NEAREST]


def _two(
    target: list[str], words: Pronunciations, backwards: Pronunciations, rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Pairs of words, the first near a beginning, the second near what is left.

    Pairs in which one word alone is as near to the whole are left out.
    """
    firsts, seconds = prefix_costs(target, words), prefix_costs(target[::-1], backwards)[::-1]
    alone = stretch_costs(target, words)
    for cut in range(1, len(target)):
        left = _near_and_farther(firsts[cut], rng, below=_SOMEWHAT * cut)
        right = _near_and_farther(seconds[cut], rng, below=_SOMEWHAT * (len(target) - cut))
        n_pairs = len(left) * len(right)
        draws = rng.permutation(n_pairs)[:_PAIRS_PER_CUT]
        for first, second in zip(left[draws // max(len(right), 1)], right[draws % max(len(right), 1)], strict=True):
            if firsts[cut, first] + seconds[cut, second] < min(alone[first], alone[second]):
                yield int(first), int(second)


def _near_and_farther(
    costs: npt.NDArray[np.float32], rng: np.random.Generator, *, below: float
) -> npt.NDArray[np.int64]:
    """The nearest, and some that are farther but nearer than a limit."""
    order = np.argsort(costs, kind="stable")[: int((costs < below).sum())]
    farther = order[_PAIR_NEAREST:_PAIR_FARTHEST_RANK]
    drawn = rng.choice(farther, size=min(_PAIR_FARTHER, len(farther)), replace=False)
    return np.concatenate([order[:_PAIR_NEAREST], drawn])


def _holding(target: list[str], lexicon: Lexicon) -> npt.NDArray[np.int64]:
    """Words with a stretch that sounds most like the target, and more sounds than it."""
    sounds = split_sounds(target)
    costs = stretch_costs(sounds, lexicon.pronunciations)
    costs[lexicon.pronunciations.lengths <= len(sounds)] = np.inf
    return np.argsort(costs, kind="stable")[:_HOLDING]
