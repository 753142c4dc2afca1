"""Every engine of the table keeps the same promises: real speech, of the right length, the same bytes again."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import ctypes.util
import io
import json
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

import steps.tts
from models.package_cache import cache_folder
from models.weights import WEIGHTS
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.settings import ENGINES as NAMES_IN_SETTINGS
from steps.trim import finish_clip
from steps.tts.engine import Engine, Request
from steps.tts.table import ENGINES
from steps.voices import split_voices

HELPERS = {"arpabet", "engine", "table", "worker"}
Clips = list[npt.NDArray[np.int16]]


@pytest.fixture(scope="module", params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine that is here; the others are skipped with the way to get them."""
    row = ENGINES[request.param]
    weights = [name for name in WEIGHTS if name.startswith(f"{row.name}_")]
    absent = [name for name in weights if not (cache_folder() / name).is_dir()]
    if absent:
        pytest.skip(f"{row.name}: {', '.join(absent)} not downloaded yet; python -m steps synthesize does it")
    hint = row.missing()
    if hint is not None:
        pytest.skip(f"{row.name}: {hint}")
    return row


def ask(engine: Engine, *texts: str, speed: float = 1.0) -> list[Request]:
    voices = [voice.name for voice in engine.voices("en-us")]
    return [
        Request(
            kind="positive",
            text=text,
            language="en-us",
            engine=engine.name,
            voices=tuple({voices[0], voices[-1]}) if engine.blends else (voices[i % len(voices)],),
            split="train",
            speed=speed,
            seed=i,
        )
        for i, text in enumerate(texts)
    ]


def speak_in_fresh_process(engine: Engine, requests: Sequence[Request], *, seed: int = 5) -> Clips:
    job = {"engine": engine.name, "seed": seed, "requests": [asdict(request) for request in requests]}
    done = subprocess.run(
        [sys.executable, "-m", "steps.tts.worker"], input=json.dumps(job).encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as archive:
        return np.split(archive["audio"], np.cumsum(archive["lengths"])[:-1])


def test_the_table_the_folder_and_the_settings_name_the_same_engines() -> None:
    modules = {module.name for module in pkgutil.iter_modules(steps.tts.__path__)}
    assert modules - HELPERS == set(ENGINES) == set(get_args(NAMES_IN_SETTINGS))
    assert [row.name for row in ENGINES.values()] == list(ENGINES)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_facts_of_an_engine_are_complete(name: str) -> None:
    row = ENGINES[name]
    assert row.licence
    assert row.sample_rate_hz >= SAMPLE_RATE_HZ
    assert row.shard_clips > 0


def test_voices_of_an_engine_are_told_apart(engine: Engine) -> None:
    names = [voice.name for voice in engine.voices("en-gb")]
    assert engine.voices("en-gb") == engine.voices("en-us")
    assert len(set(names)) == len(names) >= 1


def test_people_whom_several_engines_imitate_are_in_one_split() -> None:
    homes = {
        (row.name, voice.name): split
        for row in (ENGINES[name] for name in ("festival", "flite", "hibari", "kokoro"))
        for split, voices in split_voices(row, language="en-us", seed=7).items()
        for voice in voices
    }
    for someone in ("heart", "slt", "kal", "awb"):
        assert len({split for (_, name), split in homes.items() if someone in name}) == 1


@pytest.fixture(scope="module")
def spoken(engine: Engine) -> tuple[Engine, list[Request], Clips]:
    """A few texts, in one process: an engine takes a while to load, and Kokoro half a second a clip."""
    requests = [*ask(engine, "alexa"), *ask(engine, "alexa", speed=0.6)]
    if engine.name != "kokoro":
        requests += ask(engine, "alexandria", "see me", "saw", *(["/ɐlˈɛ/"] if engine.reads_phonemes else []))
    return engine, requests, speak_in_fresh_process(engine, requests)


Spoken = tuple[Engine, list[Request], Clips]


def test_speech_is_there_and_longer_when_slow(spoken: Spoken) -> None:
    _, _, (normal, slow, *_) = spoken
    assert 0.3 < len(normal) / SAMPLE_RATE_HZ < 1.2
    assert len(slow) > 1.25 * len(normal)
    for clip in (normal, slow):
        assert np.abs(clip).max() == 16384
        assert np.sqrt(np.square(clip, dtype=np.float64).mean()) > 500


def test_a_fresh_process_says_the_same_bytes(spoken: Spoken) -> None:
    engine, requests, clips = spoken
    again = speak_in_fresh_process(engine, requests)
    assert [clip.tobytes() for clip in clips] == [clip.tobytes() for clip in again]


def test_phonemes_are_read_as_a_part_of_the_word(spoken: Spoken) -> None:
    engine, _, clips = spoken
    if len(clips) < 6:
        pytest.skip(f"{engine.name} reads words only, or half a second a clip is too long here")
    whole, part = clips[2], clips[5]
    assert 0.1 < len(part) / SAMPLE_RATE_HZ < 0.75 * len(whole) / SAMPLE_RATE_HZ


def test_vowels_lie_where_they_should(spoken: Spoken) -> None:
    # The energy of "see" lies near 300 Hz, that of "saw" near 700: a wrong rate or wrong symbols mix them up.
    engine, _, clips = spoken
    if len(clips) < 5:
        pytest.skip(f"{engine.name}: half a second a clip is too long here")
    see, saw = clips[3], clips[4]

    def share_of_middle(clip: npt.NDArray[np.int16]) -> float:
        power = np.square(np.abs(np.fft.rfft(clip)))
        hertz = np.fft.rfftfreq(len(clip), 1 / SAMPLE_RATE_HZ)
        middle = power[(hertz > 500) & (hertz < 1300)].sum()
        return float(middle / power[(hertz > 100) & (hertz < 3500)].sum())

    assert share_of_middle(saw) > 2 * share_of_middle(see)


@pytest.mark.parametrize("sample_rate_hz", sorted({row.sample_rate_hz for row in ENGINES.values()}))
def test_pitch_stays_whatever_the_native_rate(sample_rate_hz: int) -> None:
    time_s = np.arange(sample_rate_hz) / sample_rate_hz
    tone = np.sin(2 * np.pi * 440 * time_s).astype(np.float32)
    clip = finish_clip(tone, sample_rate_hz=sample_rate_hz, text="alexa", speed=1.0)
    assert clip is not None
    spectrum = np.abs(np.fft.rfft(clip))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(clip) == pytest.approx(440, abs=1)


def silence_around(word: npt.NDArray[np.float32], *, before_s: float, after_s: float) -> npt.NDArray[np.float32]:
    before, after = (np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32) for seconds in (before_s, after_s))
    return np.concatenate([before, word, after])


@pytest.fixture
def word() -> npt.NDArray[np.float32]:
    """Half a second that fades to a weak end, as a final consonant does."""
    noise = np.random.default_rng(1).standard_normal(SAMPLE_RATE_HZ // 2).astype(np.float32)
    return 0.1 * noise * np.linspace(1.0, 0.012, len(noise), dtype=np.float32)


def test_silence_is_cut_and_the_word_is_not(word: npt.NDArray[np.float32]) -> None:
    clip = finish_clip(
        silence_around(word, before_s=0.7, after_s=1.1), sample_rate_hz=SAMPLE_RATE_HZ, text="alexa", speed=1.0
    )
    assert clip is not None
    # 30 ms at each end, but for the last tenth of a frame.
    assert 0.045 <= (len(clip) - len(word)) / SAMPLE_RATE_HZ <= 0.08
    start = int(np.argmax(np.abs(clip) > 1000))
    assert start == pytest.approx(0.03 * SAMPLE_RATE_HZ, abs=0.011 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.zeros(0, np.float32), "alexa"),
        (np.zeros(16000, np.float32), "alexa"),
        (np.full(16000, np.nan, np.float32), "alexa"),
        (np.full(100, 0.5, np.float32), "alexa"),
        (np.full(1200, 0.5, np.float32), "alexandria is here"),
        (np.full(16000 * 9, 0.5, np.float32), "alexa"),
    ],
    ids=["empty", "silent", "not a number", "a click", "too short", "too long"],
)
def test_what_is_no_speech_is_dropped(samples: npt.NDArray[np.float32], text: str) -> None:
    assert finish_clip(samples, sample_rate_hz=SAMPLE_RATE_HZ, text=text, speed=1.0) is None


@pytest.mark.parametrize("name", ["espeak", "kokoro"])
def test_engines_with_many_voices_have_some_for_every_split(name: str) -> None:
    for seed in range(20):
        assert all(split_voices(ENGINES[name], language="en-us", seed=seed).values())


def test_espeak_knows_all_its_voices() -> None:
    row = ENGINES["espeak"]
    if row.missing() is not None:
        pytest.skip(f"espeak: {row.missing()}")
    clips = speak_in_fresh_process(row, ask(row, *["alexa"] * len(row.voices("en-us"))))
    assert len({clip.tobytes() for clip in clips}) == len(row.voices("en-us"))
    assert all(0.2 < len(clip) / SAMPLE_RATE_HZ < 1.2 for clip in clips)


def test_pyttsx3_speaks_where_its_driver_is() -> None:
    # On Linux it counts as unavailable, for it would repeat espeak's voices; but its code can be heard.
    row = ENGINES["pyttsx3"]
    if sys.platform != "linux" or not ctypes.util.find_library("espeak-ng"):
        pytest.skip("pyttsx3 finds no installed espeak-ng here: sudo apt-get install libespeak-ng1")
    assert "espeak has already" in (row.missing() or "")
    assert not row.speaks("en-us")
    asked = ask(ENGINES["espeak"], *["alexa"] * 8)
    clips = speak_in_fresh_process(row, [replace(request, voices=("gmw/en-us",)) for request in asked])
    # This driver gives some clips the rate of the one before, and loses some: one of the reasons not to use it here.
    lengths_s = [len(clip) / SAMPLE_RATE_HZ for clip in clips if len(clip)]
    assert len(lengths_s) >= 1
    assert all(0.3 < seconds < 1.0 for seconds in lengths_s)
