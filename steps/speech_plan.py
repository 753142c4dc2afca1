"""Who says what how fast: the list of clips to speak, before any is spoken.

Voices belong to one split each (`steps.voices`). Within a split the engines that have voices in it share the clips in
proportion to the settings, so engines with one voice, which goes to training, are heard in training only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nanowakeword.errors import ConfigError
from steps.clippack import Kind, Split
from steps.phonemes import of_text
from steps.tts.engine import Engine, Request
from steps.voices import SPLITS, deal, seed_of, split_voices

__all__ = ["SPLIT_SHARES", "Neighbour", "Texts", "allot", "plan_clips", "plan_monologues", "share_engines"]

SPLIT_SHARES: Final[dict[Split, float]] = {"train": 0.7, "validation": 0.1, "calibration": 0.1, "test": 0.1}
# Neighbours are ranked by distance: dealt in turn, each split hears words of its own from near to far.
_DEAL_NEIGHBOURS: Final[tuple[Split, ...]] = ("train", "calibration", "train", "test", "validation")
_MEASURED: Final[tuple[Split, ...]] = ("calibration", "test")
_SENTENCES_IN_A_ROW: Final = 4
_SENTENCE_S: Final = 1.8  # mean of 540 clips of espeak-ng
_LONE_WORDS: Final = 3  # a text of so few words is said by itself, slowly


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Words that sound like the phrase.

    Attributes:
        text: words, or phonemes between slashes.
        distance: how far its sounds are from the phrase's, 0 being a homophone.
    """

    text: str
    distance: float


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What is to be said.

    Attributes:
        language: of ``positives``, ``partials`` and ``neighbours``.
        positives: variants of the phrase, at least one.
        partials: parts of it, perhaps none; those between slashes are phonemes.
        sentences: anything else, at least one.
        sentence_language: of ``sentences``.
        phonemes: of the phrase, in IPA.
        neighbours: what sounds like the phrase and is not, nearest first, perhaps nothing.
        min_distance: neighbours nearer than that are measured on and never trained on.
    """

    language: str
    positives: Sequence[str]
    partials: Sequence[str]
    sentences: Sequence[str]
    sentence_language: str
    phonemes: str = ""
    neighbours: Sequence[Neighbour] = ()
    min_distance: float = 0.0


def plan_clips(
    texts: Texts,
    *,
    counts: Mapping[Kind, int],
    engines: Mapping[str, Engine],
    shares: Mapping[str, float],
    speed: tuple[float, float],
    seed: int,
    evaluation_neighbours: int = 0,
) -> list[Request]:
    """The clips to speak, the same for the same arguments.

    Sentences and neighbours are dealt out to the splits too, so that a test hears new words in new voices. Partials and
    neighbours that no engine can say are left out.

    Args:
        texts: what may be said.
        counts: clips of each kind; neighbours: for training and validation.
        engines: engines that are there, by name.
        shares: their weights; engines that are not there are passed over.
        speed: slowest and fastest rate.
        seed: of the choices.
        evaluation_neighbours: clips of neighbours to measure on, for calibration and test each.

    Raises:
        ConfigError: no engine speaks the language, or the voices do not suffice for all splits.
    """
    names = [name for name in shares if name in engines]
    sentences = dict(zip(SPLITS, deal(texts.sentences), strict=True))
    neighbours = _deal_neighbours(texts, trained=counts.get("neighbour", 0) > 0)
    distances = {neighbour.text: neighbour.distance for neighbour in texts.neighbours}
    requests: list[Request] = []
    for kind, total in counts.items():
        language = texts.sentence_language if kind == "negative" else texts.language
        speakers = {name: split_voices(engines[name], language=language, seed=seed) for name in names}
        for split, n in _by_split(kind, total, evaluation_neighbours=evaluation_neighbours).items():
            texts_of_kind: Sequence[str] = {
                "positive": texts.positives,
                "partial": texts.partials,
                "neighbour": neighbours[split],
                "negative": sentences[split] or texts.sentences,
            }[kind]
            sayable = {name: _sayable(texts_of_kind, engines[name]) for name in names if speakers[name][split]}
            able = [name for name, some in sayable.items() if some]
            if not able and kind in {"positive", "negative"}:
                raise ConfigError(
                    "synthesize.engines",
                    got=f"{', '.join(names)}, without a voice for {language} to keep for {split}",
                    expected="an engine with many voices among them: espeak, or kokoro for English",
                )
            for name, n_clips in zip(able, allot(n, [shares[name] for name in able]), strict=True):
                requests += _plan_part(
                    n_clips,
                    kind=kind,
                    split=split,
                    language=language,
                    texts=sayable[name],
                    engine=engines[name],
                    voices=[voice.name for voice in speakers[name][split]],
                    speed=speed,
                    seed=seed,
                    distances=distances if kind == "neighbour" else {},
                )
    return requests


def _deal_neighbours(texts: Texts, *, trained: bool) -> dict[Split, list[str]]:
    """Neighbours of each split: those that are too near, and all where none are trained on, only to measure on."""
    near = [neighbour.text for neighbour in texts.neighbours if neighbour.distance < texts.min_distance]
    far = [neighbour.text for neighbour in texts.neighbours if neighbour.distance >= texts.min_distance]
    measured, rest = deal(near, order=_MEASURED), deal(far, order=_DEAL_NEIGHBOURS if trained else _MEASURED)
    return {split: first + then for split, first, then in zip(SPLITS, measured, rest, strict=True)}


def _by_split(kind: Kind, total: int, *, evaluation_neighbours: int) -> dict[Split, int]:
    """Clips of one kind in each split."""
    if kind == "neighbour":
        train, validation = allot(total, [SPLIT_SHARES["train"], SPLIT_SHARES["validation"]])
        measured = dict.fromkeys(_MEASURED, evaluation_neighbours)
        return {"train": train, "validation": validation, **measured}
    return dict(zip(SPLITS, allot(total, list(SPLIT_SHARES.values())), strict=True))


def plan_monologues(
    texts: Texts, *, hours: float, engines: Mapping[str, Engine], speed: tuple[float, float], seed: int
) -> list[Request]:
    """Hours of other speech to measure false accepts on, for calibration and test each: several sentences in a row.

    Spoken by the quickest engine that has voices in the split, since hours of a slow one would take hours; the
    sentences are the split's own, so none of them was trained on.

    Args:
        texts: what may be said.
        hours: of each of the two splits, about.
        engines: engines that are there, by name.
        speed: slowest and fastest rate.
        seed: of the choices.
    """
    requests: list[Request] = []
    sentences = dict(zip(SPLITS, deal(texts.sentences), strict=True))
    n = round(hours * 3600 / (_SENTENCES_IN_A_ROW * _SENTENCE_S))
    for split in _MEASURED:
        rng = np.random.default_rng([seed, seed_of("monologue"), seed_of(split)])
        speakers = {
            name: voices
            for name, engine in engines.items()
            if (voices := split_voices(engine, language=texts.sentence_language, seed=seed)[split])
        }
        if not (speakers and n):
            continue
        quickest = max(speakers, key=lambda name: engines[name].shard_clips)
        own = _sayable(sentences[split] or texts.sentences, engines[quickest])
        requests += _plan_part(
            n,
            kind="negative",
            split=split,
            language=texts.sentence_language,
            texts=[" ".join(rng.choice(own, size=_SENTENCES_IN_A_ROW)) for _ in range(n)],
            engine=engines[quickest],
            voices=[voice.name for voice in speakers[quickest]],
            speed=speed,
            seed=seed + 1,
            distances={},
        )
    return requests


def share_engines(
    names: Mapping[str, float | None], engines: Mapping[str, Engine], *, languages: Sequence[str]
) -> dict[str, float]:
    """The shares of the engines that are there; where the settings give none, the square root of their voices' number.

    Ten voices of one engine are heard more often than one of another, but not ten times: engines differ more than the
    voices of one engine do.

    Args:
        names: engines as the settings name them, with their shares or without.
        engines: those that are there.
        languages: that are spoken; the one that an engine has most voices for counts.
    """
    return {
        name: max(len(engines[name].voices(language)) for language in languages) ** 0.5 if share is None else share
        for name, share in names.items()
        if name in engines
    }


def _sayable(texts: Sequence[str], engine: Engine) -> list[str]:
    """The texts that an engine can read."""
    return [text for text in texts if engine.reads_phonemes or of_text(text) is None]


def _plan_part(
    n: int,
    *,
    kind: Kind,
    split: Split,
    language: str,
    texts: Sequence[str],
    engine: Engine,
    voices: Sequence[str],
    speed: tuple[float, float],
    seed: int,
    distances: Mapping[str, float],
) -> Iterator[Request]:
    """What one engine says of one kind in one split."""
    rng = np.random.default_rng([seed, seed_of(engine.name), seed_of(kind), seed_of(split)])
    for text, voice in zip(_draw(rng, texts, n), _draw(rng, voices, n), strict=True):
        pair = (voice, str(rng.choice(voices))) if engine.blends else (voice,)
        yield Request(
            kind=kind,
            text=text,
            language=language,
            engine=engine.name,
            voices=tuple(dict.fromkeys(pair)),
            split=split,
            speed=round(_draw_speed(rng, speed, lone=len(text.split()) <= _LONE_WORDS), 3),
            seed=int(rng.integers(2**31)),
            distance=distances.get(text),
        )


def allot(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to shares that add up to the total; the largest remainders are rounded up."""
    if not shares:
        return []
    exact = np.asarray(shares) / sum(shares) * total
    counts = np.floor(exact).astype(int)
    short = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return [int(count) for count in counts]


def _draw(rng: np.random.Generator, items: Sequence[str], n: int) -> list[str]:
    """``n`` items, each as often as the others but for one, in random order within each round."""
    rounds = -(-n // len(items))
    return [items[i] for _ in range(rounds) for i in rng.permutation(len(items))][:n]


def _draw_speed(rng: np.random.Generator, speed: tuple[float, float], *, lone: bool) -> float:
    """A rate between the limits.

    People say a lone word slowly: "alexa" takes them 1.0 s (median of 329 recordings), engines 0.55 s. So its duration
    is drawn evenly, which makes half the clips longer than 1.37 times the normal at the default limits. The rate of
    running speech is drawn evenly on a logarithmic scale.
    """
    slow, fast = speed
    if lone:
        return float(1.0 / rng.uniform(1.0 / fast, 1.0 / slow))
    return float(np.exp(rng.uniform(np.log(slow), np.log(fast))))
