"""Stage ``synthesize``: the phrase, its parts and other sentences in many voices.

The plan (`steps.speech_plan`) is fixed by the settings and the seed; it is spoken in shards of one engine, each in a
fresh process, and packed in the plan's order. So the same settings and seed give the same bytes, whatever the number of
workers and however often the run was cut off.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from nanowakeword.errors import ConfigError
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.clip_check import SpokenClip, find_doubtful
from steps.clippack import Clip, Split, write_clips
from steps.phonemes import of_text
from steps.phrases import NEGATIVE_LANGUAGE
from steps.shards import run_shards
from steps.speech_plan import Neighbour, Texts, plan_clips, plan_monologues, share_engines
from steps.stage import Context
from steps.tts import worker
from steps.tts.engine import Engine, Request
from steps.tts.table import ENGINES
from steps.voices import SPLITS

__all__ = ["find_engines", "read_texts", "run"]

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _NeighbourEntry(BaseModel):
    """A neighbour in ``phrases.json``."""

    text: _Text
    distance: float = Field(ge=0.0)


class _PhraseFile(BaseModel):
    """What is read of ``phrases.json``."""

    language: str
    phonemes: _Text
    positives: list[_Text] = Field(min_length=1)
    partials: list[_Text]
    sentences: list[_Text] = Field(min_length=1)
    neighbours: list[_NeighbourEntry] = []
    min_distance: float = 0.0


_COMMAND: Final = (sys.executable, "-m", worker.__name__)  # imported too, so that its code counts as ours


def run(context: Context) -> None:
    """Speak all clips and write them with ``summary.json``."""
    settings = context.settings.synthesize
    context.progress.say(f"looking for {', '.join(settings.engines)}; voices that are not here yet are downloaded once")
    engines, missing = find_engines(settings.engines)
    for name, hint in missing.items():
        context.progress.say(f"without the voices of {name}, the others take its share. {hint}")
    if not engines:
        raise ConfigError("synthesize.engines", got=f"none of {', '.join(missing)} installed", expected="at least one")
    texts = read_texts(context.input("phrases") / "phrases.json")
    silent = _silent(engines, texts)
    for name, reason in silent.items():
        context.progress.say(f"{name} is not heard with the phrase: {reason}")
    requests = plan_clips(
        texts,
        counts={
            "positive": settings.positives,
            "partial": settings.partials,
            "neighbour": settings.neighbours,
            "negative": settings.negatives,
        },
        engines=engines,
        shares=share_engines(
            {str(name): share for name, share in settings.engines.items()},
            engines,
            languages=(texts.language, texts.sentence_language),
        ),
        speed=settings.speed,
        seed=context.settings.seed,
        evaluation_neighbours=settings.evaluation_neighbours,
    )
    requests += plan_monologues(
        texts, hours=settings.evaluation_hours, engines=engines, speed=settings.speed, seed=context.settings.seed
    )
    shards = _shard(requests, engines=engines, seed=context.settings.seed)
    spoken = 0

    def count(name: str) -> None:
        nonlocal spoken
        spoken += len(shards[name].places)
        context.progress.update(spoken, len(requests), unit="clips", note=shards[name].engine)

    jobs = {name: part.job for name, part in shards.items()}
    paths = run_shards(_COMMAND, jobs, folder=context.checkpoints, workers=settings.workers, done=count)
    spoken_clips: list[SpokenClip] = []
    refused: Counter[str] = Counter()
    for request, samples in zip(requests, _collect(shards, paths, n=len(requests)), strict=True):
        if len(samples):
            spoken_clips.append((_describe(request, n_samples=len(samples)), samples))
        else:
            refused[request.engine] += 1
    if refused:
        context.progress.say(f"left out as silent or implausibly long or short: {_listed(refused)}")
    context.progress.say("comparing each clip of the phrase with those of the other engines")
    doubtful = find_doubtful(
        spoken_clips, phonemes=texts.phonemes, share=settings.drop_share, seed=context.settings.seed
    )
    dropped = Counter(spoken_clips[i][0].engine for i in doubtful)
    if dropped:
        context.progress.say(f"left out as least like the phrase: {_listed(dropped)}")
    spoken_clips = [spoken for i, spoken in enumerate(spoken_clips) if i not in set(doubtful)]
    write_clips(context.out, spoken_clips)
    summary = {
        "clips": Counter(clip.engine for clip, _ in spoken_clips),
        "kinds": Counter(f"{clip.kind} {clip.split}" for clip, _ in spoken_clips),
        "refused": refused,
        "dropped": dropped,
        "missing": missing,
        "silent": silent,
        "licences": sorted({clip.licence for clip, _ in spoken_clips}),
        "voices": {split: _voices(requests, split) for split in SPLITS},
        "seconds": round(sum(clip.n_samples for clip, _ in spoken_clips) / SAMPLE_RATE_HZ, 1),
    }
    (context.out / "summary.json").write_text(
        json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    shutil.rmtree(context.checkpoints)


def find_engines(wanted: Iterable[str]) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that are there, and for those that are not how to install them."""
    hints = {name: ENGINES[name].missing() for name in wanted}
    return (
        {name: ENGINES[name] for name, hint in hints.items() if hint is None},
        {name: hint for name, hint in hints.items() if hint is not None},
    )


def _silent(engines: Mapping[str, Engine], texts: Texts) -> dict[str, str]:
    """Engines that are there and cannot say the phrase, and why."""
    only_phonemes = all(of_text(text) is not None for text in texts.positives)
    reasons = {
        name: f"it does not speak {texts.language}"
        if not engine.speaks(texts.language)
        else "it reads words only, so it cannot be told the pronunciation"
        for name, engine in engines.items()
        if not engine.speaks(texts.language) or (only_phonemes and not engine.reads_phonemes)
    }
    return dict(sorted(reasons.items()))


def read_texts(path: Path) -> Texts:
    """Read ``phrases.json``, which a person may have edited.

    Raises:
        ConfigError: it is no JSON, or a list is missing, empty or has something else than texts in it.
    """
    try:
        file = _PhraseFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{path}: {'.'.join(map(str, first['loc'])) or 'the file'}",
            got=first["msg"],
            expected='"language", "phonemes", lists of texts "positives", "partials" and "sentences", and perhaps '
            '"neighbours", each a text and its distance',
            hint="Mend it, or write it anew: dvc repro --force phrases",
        ) from None
    neighbours = sorted(
        (Neighbour(text=entry.text, distance=entry.distance) for entry in file.neighbours),
        key=lambda neighbour: neighbour.distance,
    )
    return Texts(
        language=file.language,
        positives=file.positives,
        partials=file.partials,
        sentences=file.sentences,
        sentence_language=NEGATIVE_LANGUAGE,
        phonemes=file.phonemes,
        neighbours=neighbours,
        min_distance=file.min_distance,
    )


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """What one process speaks.

    Attributes:
        engine: who speaks.
        places: where its clips belong in the plan.
        job: the worker's input.
    """

    engine: str
    places: list[int]
    job: bytes


def _shard(requests: Sequence[Request], *, engines: Mapping[str, Engine], seed: int) -> dict[str, _Shard]:
    """Cut a plan into shards by name, slow engines first, so that no worker is left with them at the end."""
    shards: dict[str, _Shard] = {}
    for engine in sorted(engines.values(), key=lambda engine: engine.shard_clips):
        places = [i for i, request in enumerate(requests) if request.engine == engine.name]
        for index, start in enumerate(range(0, len(places), engine.shard_clips)):
            part = places[start : start + engine.shard_clips]
            rng = np.random.default_rng([seed, zlib.crc32(engine.name.encode()), index])
            document = {
                "engine": engine.name,
                "seed": int(rng.integers(2**31)),
                "requests": [asdict(requests[i]) for i in part],
            }
            job = json.dumps(document, ensure_ascii=False).encode()
            name = f"{engine.name}-{index:05d}-{hashlib.sha256(job).hexdigest()[:16]}.npz"
            shards[name] = _Shard(engine=engine.name, places=part, job=job)
    return shards


def _collect(shards: Mapping[str, _Shard], paths: Mapping[str, Path], *, n: int) -> list[npt.NDArray[np.int16]]:
    """Clips out of the shards, in the plan's order; those that were refused are empty."""
    clips = [np.zeros(0, np.int16)] * n
    for name, part in shards.items():
        with np.load(paths[name], allow_pickle=False) as archive:
            ends = np.cumsum(archive["lengths"])
            for place, samples in zip(part.places, np.split(archive["audio"], ends[:-1]), strict=True):
                clips[place] = samples
    return clips


def _describe(request: Request, *, n_samples: int) -> Clip:
    return Clip(
        kind=request.kind,
        text=request.text,
        engine=request.engine,
        voice="+".join(request.voices),
        split=request.split,
        speed=request.speed,
        licence=ENGINES[request.engine].licence,
        n_samples=n_samples,
        distance=request.distance,
    )


def _voices(requests: Sequence[Request], split: Split) -> list[str]:
    """Speakers of a split, with their engines."""
    return sorted({f"{r.engine} {voice}" for r in requests if r.split == split for voice in r.voices})


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} of {name}" for name, n in sorted(counts.items()))
