"""What sounds like a phrase and is not it, from near to far: real words, and phonemes with edits.

Candidates by the ten thousand are pronounced by espeak-ng and compared with the phrase; the list takes as many of each
tenth of distance, so that a person, a training set or a test finds all of them in it. Within a tenth, the different
ways to replace something take turns, most common words first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, permutations, zip_longest
from typing import Final, Literal, TypeVar

from steps.articulation import split_sounds
from steps.lexicon import Lexicon, read_lexicon
from steps.phoneme_edits import edit_phonemes, rearrange_phonemes
from steps.phonemes import between_slashes
from steps.phonetic_distance import Pronunciations, phrase_distances
from steps.pronunciation import can_be_said
from steps.similar_words import similar_words
from steps.spoken_texts import pronounce_each

__all__ = ["Kind", "Neighbour", "find_neighbours"]

Kind = Literal["word", "inside", "edit", "swap", "repeat"]
Item = TypeVar("Item")
Words = list[list[str]]

_TENTHS: Final = 8  # what is farther than that is like any other speech
_LEXICON_WORDS: Final = 30_000
_WORD_SHARE: Final = 0.7
_EDITS_DRAWN: Final = 2_500
_INSIDE: Final = 0.02
_ORDERS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Something that sounds like the phrase.

    Attributes:
        text: words, or phonemes between slashes.
        distance: of its nearest stretch from the phrase, see `steps.phonetic_distance`.
        kind: ``word``, real words; ``inside``, words that hold the phrase; ``edit``, its phonemes with edits;
            ``swap``, its parts in another order; ``repeat``, a part of it twice.
    """

    text: str
    distance: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    text: str
    phonemes: list[str]
    kind: Kind
    source: str
    rank: int


def find_neighbours(phrase: str, spoken: Words, *, language: str, n: int, seed: int) -> list[Neighbour]:
    """Neighbours of a phrase, nearest first; only words where engines cannot say its phonemes.

    Args:
        phrase: the words.
        spoken: their phonemes, in words.
        language: a code of espeak-ng.
        n: about how many.
        seed: of the draws.
    """
    if n == 0:
        return []
    whole = [phoneme for word in spoken for phoneme in word]
    phonemes_are_read = can_be_said(whole, language=language)
    lexicon = read_lexicon(language, n=_LEXICON_WORDS)
    rearranged = list(_rearranged(phrase, spoken, language=language, phonemes_are_read=phonemes_are_read))
    words = list(_words(phrase, spoken, language=language, lexicon=lexicon, seed=seed))
    edits = (
        list(_edits(spoken, language=language, lexicon=lexicon, seed=seed))
        if phonemes_are_read and lexicon.words
        else []
    )
    n_words = round(n * _WORD_SHARE) if edits else n
    taken = [
        *_rate(rearranged, whole),
        *_spread(_rate(words, whole), n=n_words),
        *_spread(_rate(edits, whole), n=n - n_words),
    ]
    found = {item.text: Neighbour(text=item.text, distance=distance, kind=item.kind) for item, distance in taken}
    return sorted(found.values(), key=lambda neighbour: (neighbour.distance, neighbour.text))


def _words(phrase: str, spoken: Words, *, language: str, lexicon: Lexicon, seed: int) -> Iterator[_Candidate]:
    texts = {item.text: item for item in similar_words(phrase.split(), spoken, lexicon=lexicon, seed=seed)}
    known = dict(zip(lexicon.words, lexicon.phonemes, strict=True))
    asked = [text for text in texts if text not in known]
    known.update(zip(asked, pronounce_each(asked, language=language), strict=True))
    for text, item in texts.items():
        yield _Candidate(text=text, phonemes=known[text], kind="word", source=item.source, rank=item.rank)


def _edits(spoken: Words, *, language: str, lexicon: Lexicon, seed: int) -> Iterator[_Candidate]:
    variants = edit_phonemes(
        spoken,
        lexicon=lexicon.phonemes,
        sayable=lambda phoneme: can_be_said([phoneme], language=language),
        n=_EDITS_DRAWN,
        seed=seed,
    )
    for rank, variant in enumerate(variants):
        yield _of_phonemes(variant, kind="edit", rank=rank)


def _rearranged(phrase: str, spoken: Words, *, language: str, phonemes_are_read: bool) -> Iterator[_Candidate]:
    """The phrase's words in another order or twice, and so its phonemes."""
    words = phrase.split()
    texts: dict[str, Kind] = {}
    if len(words) > 1:
        texts |= {f"{word} {word}": "repeat" for word in words}
        texts |= {" ".join(order): "swap" for order in islice(permutations(words), 1, 1 + _ORDERS)}
    for text, phonemes in zip(texts, pronounce_each(list(texts), language=language), strict=True):
        yield _Candidate(text=text, phonemes=phonemes, kind=texts[text], source="", rank=0)
    if phonemes_are_read:
        for kind, variant in rearrange_phonemes(spoken):
            yield _of_phonemes(variant, kind=kind, rank=0)


def _of_phonemes(variant: Words, *, kind: Kind, rank: int) -> _Candidate:
    phonemes = [phoneme for word in variant for phoneme in word]
    return _Candidate(text=between_slashes(variant), phonemes=phonemes, kind=kind, source=kind, rank=rank)


def _rate(candidates: Sequence[_Candidate], phrase: list[str]) -> list[tuple[_Candidate, float]]:
    """Candidates with their distances, rounded; the phrase itself and its homophones are left out.

    Of candidates that sound the same, the first is kept.
    """
    pronunciations = Pronunciations(candidate.phonemes for candidate in candidates)
    distances = phrase_distances(phrase, pronunciations)
    own = split_sounds(phrase)
    kept: dict[tuple[str, ...], tuple[_Candidate, float]] = {}
    for candidate, sounds, distance in zip(candidates, pronunciations.sounds, distances.tolist(), strict=True):
        holds = distance < _INSIDE and len(sounds) > len(own)
        if sounds == own or (holds and candidate.kind == "edit"):
            continue
        rated = replace(candidate, kind="inside") if holds else candidate
        kept.setdefault(tuple(sounds), (rated, round(distance, 3)))
    return list(kept.values())


def _spread(rated: Sequence[tuple[_Candidate, float]], *, n: int) -> Iterator[tuple[_Candidate, float]]:
    """About ``n`` candidates, as many of each tenth of distance up to 0.8; sources take turns."""
    tenths: defaultdict[int, defaultdict[str, list[tuple[_Candidate, float]]]] = defaultdict(lambda: defaultdict(list))
    for item in sorted(rated, key=lambda item: item[0].rank):
        tenths[int(10 * item[1])][item[0].source].append(item)
    for tenth in range(_TENTHS):
        yield from islice(_in_turns(tenths[tenth].values()), -(-n // _TENTHS))


def _in_turns(lists: Iterable[Sequence[Item]]) -> Iterator[Item]:
    """The first of each list, then the second of each, and so on."""
    for row in zip_longest(*lists):
        yield from (item for item in row if item is not None)
