"""Stage ``phrases``: what will be spoken, as a list that a person can read and edit.

Written is ``phrases.json``: the phrase with its phonemes, ``positives`` (its punctuation variants), ``partials`` (parts
of it, which are heard often and must not fire), ``neighbours`` (what sounds like it, nearest first, with distances;
none nearer than ``min_distance`` is trained on) and ``sentences`` (generic negatives, in English whatever the language
of the phrase). A text between slashes is phonemes, see `steps.phonemes`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final, TypeVar

from nanowakeword.errors import ConfigError
from steps.espeak_ng import languages, phonemes
from steps.neighbours import find_neighbours
from steps.phonemes import bare, between_slashes, has_vowel
from steps.pronunciation import can_be_said, read_pronunciation
from steps.scripts import foreign_letters, languages_written_like, scripts_of
from steps.sentences import write_sentences
from steps.stage import Context

__all__ = [
    "NEGATIVE_LANGUAGE",
    "part_phrase",
    "part_pronunciation",
    "pronounce",
    "run",
    "vary_phrase",
    "vary_pronunciation",
]

NEGATIVE_LANGUAGE: Final = "en-us"
_ENDINGS: Final = ("", ".", "!", "?", ",", "...")
# Parts of a word that do no harm as negatives: shares of its phonemes, from the start and from the end.
_FIRST: Final = (0.30, 0.62)
_LAST: Final = (0.30, 0.58)

Words = list[list[str]]
Item = TypeVar("Item")


def run(context: Context) -> None:
    """Write ``phrases.json``."""
    settings = context.settings.phrases
    phrase, language = context.settings.wakeword.phrase, context.settings.wakeword.language
    spoken = pronounce(phrase, language=language)
    given = context.settings.wakeword.pronunciation
    if given is not None:
        spoken = read_pronunciation(given, language=language)
    if not _is_english(language):
        context.progress.say(f"the sentences are English, since there are none for {language} yet")
    forbidden = bare(spoken)
    sentences = write_sentences(
        settings.sentences,
        seed=context.settings.seed,
        accept=lambda sentence: forbidden not in bare(phonemes(sentence, language=NEGATIVE_LANGUAGE)),
    )
    neighbours = find_neighbours(
        phrase,
        spoken,
        language=language,
        n=settings.neighbours,
        seed=context.settings.seed,
    )
    if settings.neighbours and not any(neighbour.kind == "word" for neighbour in neighbours):
        context.progress.say(f"there is no list of words for {language}, so the phrase's neighbours are few")
    document = {
        "phrase": phrase,
        "language": language,
        "phonemes": " ".join("".join(word) for word in spoken),
        "positives": vary_phrase(phrase) if given is None else vary_pronunciation(spoken),
        "partials": (part_phrase(phrase, language=language) if given is None else part_pronunciation(spoken))
        if settings.partials
        else [],
        "min_distance": settings.min_distance,
        "neighbours": neighbours,
        "sentences": sentences,
    }
    (context.out / "phrases.json").write_text(_text(document), encoding="utf-8")
    context.progress.say(f"{phrase!r} is pronounced {document['phonemes']}")


def pronounce(phrase: str, *, language: str) -> Words:
    """Words of a phrase, each a list of phonemes in IPA.

    Raises:
        ConfigError: the language is unknown, or the phrase is in a script that it is not written in.
    """
    if language.lower() not in languages():
        near = difflib.get_close_matches(language.lower(), languages(), n=4, cutoff=0.4)
        raise ConfigError(
            "wakeword.language",
            got=repr(language),
            expected="a language code of espeak-ng",
            hint=f"Near it are {', '.join(near)}" if near else "For example en-us, de or pt-br",
        )
    foreign = foreign_letters(phrase, language=language)
    if foreign:
        others = languages_written_like(foreign[0])
        switch = f", or set wakeword.language to one that is written so ({', '.join(others)})" if others else ""
        raise ConfigError(
            "wakeword.phrase",
            got=f"{phrase!r}, whose letters {foreign!r} are not read in {language}",
            expected=f"{' or '.join(script.capitalize() for script in scripts_of(language))} letters",
            hint=f"Write it as it sounds{switch}",
        )
    words = phonemes(phrase, language=language)
    if not has_vowel(phoneme for word in words for phoneme in word):
        raise ConfigError(
            "wakeword.phrase",
            got=f"{phrase!r}, for which espeak-ng gives no sounds in {language}",
            expected="words that can be said aloud",
            hint="Spell it as it sounds",
        )
    return words


def vary_phrase(phrase: str) -> list[str]:
    """The phrase with the punctuation that changes how engines say it, and with a pause after its first word."""
    first, _, rest = phrase.partition(" ")
    return [phrase + ending for ending in _ENDINGS] + ([f"{first}, {rest}"] if rest else [])


def vary_pronunciation(spoken: Words) -> list[str]:
    """The same of a phrase whose phonemes are given: texts between slashes, punctuation inside."""
    return [f"/{text}/" for text in vary_phrase(between_slashes(spoken)[1:-1])]


def part_pronunciation(spoken: Words) -> list[str]:
    """`part_phrase` of a phrase whose phonemes are given: all parts are phonemes."""
    parts = [*_parts_by_word(spoken), *_parts_within(spoken)]
    texts = {between_slashes(part): part for part in parts}
    return [text for text, words in texts.items() if any(map(has_vowel, words)) and bare(spoken) not in bare(words)]


def part_phrase(phrase: str, *, language: str) -> list[str]:
    """Parts of a phrase: its words, its beginnings and ends, and its halves the wrong way round.

    None of them sounds like the phrase or contains it. Parts of words are phonemes, or letters where engines cannot say
    the phonemes.
    """
    own = pronounce(phrase, language=language)
    whole = bare(own)
    texts = [" ".join(part) for part in _parts_by_word(phrase.split())]
    spoken = {text: phonemes(text, language=language) for text in texts}
    if all(can_be_said(word, language=language) for word in own):
        spoken |= {between_slashes(part): part for part in _parts_within(own)}
    else:
        letters = [list(word) for word in phrase.split()]
        chunks = [" ".join("".join(word) for word in part) for part in _parts_within(letters)]
        spoken |= {chunk: phonemes(chunk, language=language) for chunk in chunks}
    return [text for text, words in spoken.items() if any(map(has_vowel, words)) and whole not in bare(words)]


def _text(document: dict[str, Any]) -> str:
    """JSON with each neighbour on one line, so that hundreds of them can be read down a column."""
    rows = ",\n".join(f"    {json.dumps(asdict(row), ensure_ascii=False)}" for row in document["neighbours"])
    text = json.dumps(document | {"neighbours": []}, ensure_ascii=False, indent=2)
    return text.replace('"neighbours": []', f'"neighbours": [\n{rows}\n  ]') + "\n" if rows else text + "\n"


def _is_english(language: str) -> bool:
    return language.lower().split("-")[0] == "en"


def _parts_by_word(words: list[Item]) -> Iterator[list[Item]]:
    """Runs of words shorter than the phrase, and its halves swapped."""
    for length in range(1, len(words)):
        for start in range(len(words) - length + 1):
            yield words[start : start + length]
    if len(words) > 1:
        half = len(words) // 2
        yield words[half:] + words[:half]


def _parts_within(words: Words) -> Iterator[Words]:
    """Beginnings, ends and swapped halves, counted in symbols, be they phonemes or letters."""
    n = sum(map(len, words))
    for length in range(1, n):
        if _FIRST[0] <= length / n <= _FIRST[1]:
            yield _cut(words, 0, length)
        if _LAST[0] <= length / n <= _LAST[1]:
            yield _cut(words, n - length, n)
    if n > 1:
        yield [*_cut(words, n // 2, n), *_cut(words, 0, n // 2)]


def _cut(words: Words, start: int, end: int) -> Words:
    """Symbols ``start`` to ``end`` of the phrase, in the words that they belong to."""
    parts: Words = []
    position = 0
    for word in words:
        part = word[max(0, start - position) : max(0, end - position)]
        if part:
            parts.append(part)
        position += len(word)
    return parts
