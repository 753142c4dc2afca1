"""Generic sentences that must not wake anything, from a small grammar over `steps.vocabulary`.

A third are lone words and names, since most false accepts come from isolated words; the rest are commands, chatter,
questions, news and drama of 3 to 12 words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np

from nanowakeword.errors import ConfigError
from steps.vocabulary import LONE_SLOTS, WORDS

__all__ = ["write_sentences"]

_LONE_SHARE: Final = 0.34
_ATTEMPTS_PER_SENTENCE: Final = 60

_COMMANDS: Final = (
    "turn on the {device}.",
    "turn the {device} off in the {room}.",
    "please {do} the {thing}.",
    "{do} the {colour} {thing} {when}.",
    "set a timer for {number} {time_unit}.",
    "remind me to {do} the {thing} {when}.",
    "add {food} to the shopping list.",
    "play some music in the {room}.",
    "call {name} at {hour}.",
    "don't {do} the {thing} in the {room}!",
    "could you {do} my {thing}, please?",
    "set the temperature to {number} degrees.",
    "wake me up at {hour} on {day}.",
    "{go} or {go}, I don't care.",
    "stop the {device} and {do} the {thing}.",
    "show me pictures of {place}.",
    "volume up, just a little bit.",
    "skip this song and play {subject} stories.",
    "send a message to {name} and {name}.",
    "dim the lights to {number} percent.",
    "lock the front door {when}.",
    "let's {go} before {hour}.",
    "tell {name} to {go}.",
    "take the {ordinal} left after the {venue}.",
)
_CHATTER: Final = (
    "I {did} the {thing} {when}.",
    "{name} {did} my {adjective} {thing}.",
    "she never {did} a {colour} {thing} before.",
    "we had {food} and {food} for lunch.",
    "my {thing} is in the {room}, I think.",
    "they were {adverb} {feeling} about the {abstract}.",
    "he {did} {number} of them at the {venue}.",
    "I feel a bit {feeling} {when}.",
    "that's a {adjective} {abstract}, isn't it?",
    "the {animal} ran behind the {venue}.",
    "{name} and {name} play {sport} {when}.",
    "I'm {adverb} going to {go} {when}.",
    "you should {do} the {thing} more often.",
    "the {food} tastes {adjective}.",
    "our {job} comes from {place}.",
    "it takes {number} {time_unit} to get to the {venue}.",
    "nobody {did} the {thing}, {adverb}.",
    "my sister studies {subject} in {place}.",
    "{interjection}, that was {adjective}!",
    "{interjection}, I {did} it {when}.",
    "the kids want a {animal} for the {room}.",
    "he said the {thing} was {adjective}, but I like it.",
    "I'd rather {go} than {go}.",
    "there's a {adjective} {animal} under the {thing}.",
    "well, {name} is always so {adjective}.",
    "it was {colour} with a {colour} stripe.",
    "mum keeps the {food} in the {room}.",
    "you left your {thing} at the {venue} again.",
)
_QUESTIONS: Final = (
    "where is the {thing}?",
    "who {did} the {food}?",
    "did {name} {do} the {thing}?",
    "what time does the {venue} open on {day}?",
    "how far is it from {place} to {place}?",
    "is there any {food} left?",
    "why are you so {feeling}?",
    "do you like {sport} or {sport}?",
    "what's the weather like in {place}?",
    "have you ever seen a {animal} {go}?",
    "when is {name} coming to {place}?",
    "can a {animal} {go}?",
    "which {job} {did} the {thing}?",
    "what does {abstract} mean to you?",
    "are we meeting at the {venue} or in the {room}?",
    "how many times did the {animal} {go}?",
    "shall we {go} {when}?",
    "what is {number} times {number}?",
    "was it the {ordinal} of {month}?",
)
_BROADCAST: Final = (
    "in {place} today, a {job} {did} the {abstract}.",
    "the {job} denied any {abstract} {when}.",
    "tonight on channel {number}, the history of {subject}.",
    "expect {weather} in {place} {when}.",
    "scientists in {place} {did} a {adjective} {animal}.",
    "prices rose by {number} percent in {month}.",
    "the final score was {number} to {number}.",
    "you {did} my {thing}, and now you'll pay!",
    "the {job} and the {job} met at the {venue}.",
    "we'll be right back after this {abstract}.",
    "flight {number} to {place} leaves from gate {number}.",
    "ladies and gentlemen, please welcome {name} from {place}!",
    "don't trust the {job}, {name}, it's a {abstract}.",
    "the train to {place} is {number} minutes late.",
    "police are looking for a {colour} {thing}.",
    "with a {abstract} like that, anyone would {go}.",
    "chapter {number}, the {adjective} {animal}.",
    "once there was a {job} who loved {food}.",
    "voters in {place} want more {abstract}.",
    "it was a {adjective} night, and the {job} began to {go}.",
)
_NUMBERS: Final = (
    "{number}, {number}, {number}.",
    "{number} plus {number} makes {number}.",
    "my room number is {number} {number}.",
    "the {ordinal} of {month}, {number} people.",
    "{day} the {ordinal} at {hour}.",
    "that will be {number} dollars and {number} cents.",
    "{ordinal}, {ordinal} and {ordinal}.",
    "page {number}, line {number}.",
)
_SHORT: Final = (
    "{name}?",
    "{interjection}, {name}.",
    "{interjection}, {name}!",
    "{adjective} {animal}.",
    "the {thing}.",
    "{colour} {thing}.",
    "my {adjective} {job}.",
    "{food}, please.",
    "{name} and {name}.",
    "{adverb} {adjective}.",
    "{do} it.",
    "don't {go}!",
    "{place}, {when}.",
    "no {abstract}.",
)
_STYLES: Final = (_COMMANDS, _CHATTER, _QUESTIONS, _BROADCAST, _NUMBERS, _SHORT)
_STYLE_SHARES: Final = (0.22, 0.27, 0.17, 0.16, 0.06, 0.12)
_SLOT: Final = re.compile(r"{(\w+)}")


def write_sentences(n: int, *, seed: int, accept: Callable[[str], bool]) -> list[str]:
    """Write distinct sentences; the first of them do not change with their number.

    Args:
        n: how many.
        seed: of the choices.
        accept: whether a sentence may be used.

    Raises:
        ConfigError: the grammar does not hold so many.
    """
    rng = np.random.default_rng([seed, 0x5E27])
    found: dict[str, None] = {}
    for _ in range(_ATTEMPTS_PER_SENTENCE * n):
        sentence = _lone(rng) if rng.random() < _LONE_SHARE else _sentence(rng)
        if sentence not in found and accept(sentence):
            found[sentence] = None
            if len(found) == n:
                return list(found)
    raise ConfigError("phrases.sentences", got=n, expected=f"at most {len(found)} for this phrase")


def _lone(rng: np.random.Generator) -> str:
    """A word or name by itself, spoken as a statement, a call or a question."""
    words = WORDS[LONE_SLOTS[int(rng.integers(len(LONE_SLOTS)))]]
    word = words[int(rng.integers(len(words)))]
    return word + ("", ".", "!", "?")[int(rng.choice(4, p=(0.4, 0.3, 0.15, 0.15)))]


def _sentence(rng: np.random.Generator) -> str:
    style = _STYLES[int(rng.choice(len(_STYLES), p=_STYLE_SHARES))]
    template = style[int(rng.integers(len(style)))]

    def fill(match: re.Match[str]) -> str:
        words = WORDS[match.group(1)]
        return words[int(rng.integers(len(words)))]

    sentence = _SLOT.sub(fill, template)
    sentence = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", sentence)
    return sentence[0].upper() + sentence[1:]
