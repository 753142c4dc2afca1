"""The plan of who says what, the shards it is spoken in, and the pack of clips that comes out."""

# ruff: noqa: RUF001 -- the letters of IPA look like others

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.package_cache import cache_folder
from nanowakeword.errors import ConfigError, DependencyError
from steps.clippack import ClipPack
from steps.settings import load_settings
from steps.shards import run_shards
from steps.speech_plan import (
    SPLIT_SHARES,
    Neighbour,
    Texts,
    allot,
    plan_clips,
    plan_monologues,
    share_engines,
)
from steps.stage import STAGES, run_stage
from steps.synthesize import read_texts
from steps.trim import finish_clip
from steps.tts.engine import Request
from steps.tts.table import ENGINES
from steps.voices import SPLITS, deal, split_voices

REPOSITORY = Path(__file__).parents[2]
TEXTS = Texts(
    language="en-us",
    positives=["alexa", "alexa."],
    partials=["/ksə/", "al"],
    sentences=[f"sentence {word}" for word in "abcdefghijklmnopqrstuvwxyz"],
    sentence_language="en-us",
)


def plan(
    *names: str, n: int = 200, seed: int = 7, texts: Texts = TEXTS, speed: tuple[float, float] = (0.5, 1.35)
) -> list[Request]:
    return plan_clips(
        texts,
        counts={"positive": n, "partial": n // 3, "negative": n},
        engines={name: ENGINES[name] for name in names},
        shares={
            "kokoro": 0.35,
            "piper": 0.25,
            "hibari": 0.15,
            "espeak": 0.25,
            "flite": 0.1,
            "festival": 0.1,
            "pyttsx3": 0.1,
        },
        speed=speed,
        seed=seed,
    )


@given(
    names=st.sets(st.sampled_from(sorted(ENGINES))).filter(lambda names: names & {"espeak", "kokoro"}),
    n=st.integers(0, 400),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_clip_is_planned_and_no_voice_is_in_two_splits(names: set[str], n: int, seed: int) -> None:
    requests = plan(*sorted(names), n=n, seed=seed)
    kinds = Counter(request.kind for request in requests)
    assert (kinds["positive"], kinds["partial"], kinds["negative"]) == (n, n // 3, n)
    assert {request.engine for request in requests} <= names
    where: dict[tuple[str, str], set[str]] = {}
    for request in requests:
        families = {voice.name: voice.family for voice in ENGINES[request.engine].voices("en-us")}
        for voice in request.voices:
            where.setdefault((request.engine, families[voice]), set()).add(request.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert all(0.5 <= request.speed <= 1.35 for request in requests)


def test_splits_and_engines_get_their_shares() -> None:
    requests = plan("kokoro", "piper", "hibari", "espeak", n=1000)
    positives = [request for request in requests if request.kind == "positive"]
    assert Counter(request.split for request in positives) == {s: round(1000 * SPLIT_SHARES[s]) for s in SPLITS}
    train = Counter(request.engine for request in positives if request.split == "train")
    assert train == {"kokoro": 245, "piper": 175, "hibari": 105, "espeak": 175}
    test = Counter(request.engine for request in positives if request.split == "test")
    assert set(test) == {"kokoro", "espeak"}


def test_a_missing_engine_moves_no_voice_and_its_share_goes_to_the_others() -> None:
    everyone, fewer = plan("kokoro", "piper", "espeak"), plan("espeak", "piper")
    assert len(everyone) == len(fewer)
    homes, homes_of_fewer = _homes(everyone), _homes(fewer)
    assert len(homes.keys() & homes_of_fewer.keys()) > 20
    assert all(homes.get(voice, split) == split for voice, split in homes_of_fewer.items())
    train = Counter(r.engine for r in fewer if r.kind == "positive" and r.split == "train")
    assert train["espeak"] == train["piper"] == 70


def _homes(requests: list[Request]) -> dict[tuple[str, str], str]:
    return {(request.engine, voice): request.split for request in requests for voice in request.voices}


def test_single_voices_train_and_blends_stay_in_a_split() -> None:
    requests = plan("kokoro", "piper", "hibari", "espeak")
    assert {request.split for request in requests if request.engine in {"piper", "hibari"}} == {"train"}
    homes = {
        v.name: split
        for split, voices in split_voices(ENGINES["kokoro"], language="en-us", seed=7).items()
        for v in voices
    }
    blends = [request for request in requests if len(request.voices) == 2]
    assert len(blends) > 50
    assert all({homes[voice] for voice in request.voices} == {request.split} for request in blends)


def test_monologues_are_for_measuring_only_and_their_sentences_are_the_splits_own() -> None:
    engines = {name: ENGINES[name] for name in ("espeak", "kokoro", "hibari")}
    many = replace(TEXTS, sentences=[f"sentence number {n:03d}" for n in range(300)])
    monologues = plan_monologues(many, hours=0.1, engines=engines, speed=(0.5, 1.35), seed=7)
    assert {request.split for request in monologues} == {"calibration", "test"}
    assert {request.engine for request in monologues} == {"espeak"}
    assert len(monologues) == 2 * round(0.1 * 3600 / (4 * 1.8))
    clips = plan("espeak", texts=many)
    for split in ("calibration", "test"):
        texts = [request.text for request in monologues if request.split == split]
        elsewhere = {request.text for request in clips if request.kind == "negative" and request.split != split}
        assert not [text for text in texts if any(sentence in text for sentence in elsewhere)]
        assert len(set(texts)) > 0.9 * len(texts)
        voices = {request.voices for request in monologues if request.split == split}
        assert voices <= {request.voices for request in clips if request.split == split}


def test_no_hours_no_monologues() -> None:
    assert plan_monologues(TEXTS, hours=0.0, engines=dict(ENGINES), speed=(0.5, 1.35), seed=7) == []


def test_a_split_hears_sentences_of_its_own() -> None:
    said: dict[str, set[str]] = {split: set() for split in SPLITS}
    for request in plan("espeak", "kokoro"):
        if request.kind == "negative":
            said[request.split].add(request.text)
    assert all(said.values())
    assert not any(said[a] & said[b] for a in SPLITS for b in SPLITS if a < b)


def test_neighbours_are_measured_on_words_that_training_never_heard() -> None:
    near = [Neighbour(text=f"/æl{c}/", distance=0.4 + n / 50) for n, c in enumerate("bdfhijklmnprstvwz")]
    requests = plan_clips(
        replace(TEXTS, neighbours=near),
        counts={"positive": 10, "neighbour": 80},
        engines={name: ENGINES[name] for name in ("espeak", "kokoro", "flite")},
        shares={"espeak": 1.0, "kokoro": 1.0, "flite": 1.0},
        speed=(0.5, 1.35),
        seed=7,
        evaluation_neighbours=30,
    )
    clips = [request for request in requests if request.kind == "neighbour"]
    assert Counter(r.split for r in clips) == {"train": 70, "validation": 10, "calibration": 30, "test": 30}
    distances = {neighbour.text: neighbour.distance for neighbour in near}
    assert all(request.distance == distances[request.text] for request in clips)
    assert {request.engine for request in clips if request.split == "train"} == {"espeak", "kokoro", "flite"}
    assert all(request.distance is None for request in requests if request.kind != "neighbour")
    said = {split: {r.text for r in clips if r.split == split} for split in SPLITS}
    assert set().union(*said.values()) == set(distances)
    assert not any(said[a] & said[b] for a in SPLITS for b in SPLITS if a < b)


def test_neighbours_that_are_too_near_are_measured_on_only(tmp_path: Path) -> None:
    path = tmp_path / "phrases.json"
    distances = {f"/æl{c}/": 0.1 + n / 20 for n, c in enumerate("bdfhijklmnprstvwz")}
    document = {
        "language": "en-us",
        "phonemes": "æl",
        "positives": ["alexa"],
        "partials": [],
        "sentences": ["a"],
        "min_distance": 0.4,
        "neighbours": [{"text": text, "distance": d, "kind": "edit"} for text, d in reversed(distances.items())],
    }
    path.write_text(json.dumps(document), "utf-8")
    texts = read_texts(path)
    assert [neighbour.text for neighbour in texts.neighbours] == list(distances)
    for trained in (0, 60):
        requests = plan_clips(
            texts,
            counts={"positive": 10, "neighbour": trained},
            engines={"espeak": ENGINES["espeak"]},
            shares={"espeak": 1.0},
            speed=(0.5, 1.35),
            seed=7,
            evaluation_neighbours=40,
        )
        clips = [request for request in requests if request.kind == "neighbour"]
        said = {split: {distances[r.text] for r in clips if r.split == split} for split in SPLITS}
        assert all(min(said[split]) < 0.4 <= max(said[split]) for split in ("calibration", "test"))
        assert all(distance >= 0.4 for split in ("train", "validation") for distance in said[split])
        assert bool(said["train"]) == bool(trained)
        assert set().union(*said.values()) == set(distances.values())


def test_slow_words_are_well_represented() -> None:
    alone = sorted(request.speed for request in plan("espeak", n=2000) if request.kind == "positive")
    assert alone[len(alone) // 2] == pytest.approx(1 / 1.37, abs=0.02)
    assert alone[0] < 0.52
    assert alone[-1] > 1.25


def test_engines_that_read_words_only_get_words() -> None:
    wordy = replace(ENGINES["flite"], reads_phonemes=False)
    requests = plan_clips(
        TEXTS,
        counts={"partial": 60},
        engines={"flite": wordy, "espeak": ENGINES["espeak"]},
        shares={"flite": 1.0, "espeak": 1.0},
        speed=(0.5, 1.35),
        seed=7,
    )
    assert {r.text for r in requests if r.engine == "flite"} == {"al"}
    assert {r.text for r in requests if r.engine == "espeak"} == {"al", "/ksə/"}


def test_without_shares_engines_speak_by_the_square_root_of_their_voices() -> None:
    engines = {name: ENGINES[name] for name in ("espeak", "kokoro", "piper")}
    assert share_engines({"kokoro": 0.3, "flite": 0.2}, engines, languages=["en-us"]) == {"kokoro": 0.3}
    shares = share_engines(dict.fromkeys([*engines, "flite"]), engines, languages=["en-us"])
    assert list(shares) == ["espeak", "kokoro", "piper"]
    assert shares["kokoro"] == pytest.approx(28**0.5)
    assert shares["piper"] == 1.0
    assert share_engines(dict.fromkeys(engines), engines, languages=["de", "en-us"]) == shares


def test_a_language_that_only_espeak_speaks() -> None:
    german = Texts(language="de", positives=["hallo"], partials=[], sentences=["hello"], sentence_language="en-us")
    requests = plan("kokoro", "hibari", "espeak", texts=german)
    assert {(r.engine, r.language) for r in requests if r.kind == "positive"} == {("espeak", "de")}
    assert {r.language for r in requests if r.kind == "negative"} == {"en-us"}
    with pytest.raises(ConfigError, match=r"kokoro, hibari, without a voice for de to keep for train"):
        plan("kokoro", "hibari", texts=german)


def test_one_voice_cannot_fill_four_splits() -> None:
    with pytest.raises(ConfigError, match=r"without a voice .* validation; expected an engine with many"):
        plan("hibari", "piper")


@given(st.integers(0, 5000), st.lists(st.floats(0.01, 10), min_size=1, max_size=6))
def test_allotted_numbers_add_up_and_are_fair(total: int, shares: list[float]) -> None:
    counts = allot(total, shares)
    assert sum(counts) == total
    assert all(abs(n - total * share / sum(shares)) < 1 for n, share in zip(counts, shares, strict=True))


@given(st.lists(st.integers(), max_size=60))
def test_dealing_loses_nothing(items: list[int]) -> None:
    parts = deal(items)
    assert Counter(x for part in parts for x in part) == Counter(items)
    assert all(parts) or len(items) < 9


# What follows speaks: espeak-ng and hibari lie in packages and need no download.


def workspace(
    root: Path,
    *,
    workers: int = 2,
    engines: str = "{hibari: 0.3, espeak: 0.7}",
    drop_share: float = 0.0,
    phrase: str = "hey nano",
    language: str = "en-us",
    pronunciation: str = "null",
) -> Path:
    text = (REPOSITORY / "params.yaml").read_text("utf-8")
    for before, after in (
        ("phrase: hey nano", f"phrase: {phrase}"),
        ("language: en-us", f"language: {language}"),
        ("pronunciation: null", f"pronunciation: {pronunciation}"),
        ("  neighbours: 400", "  neighbours: 5"),
        ("sentences: 1200", "sentences: 60"),
        ("positives: 2400", "positives: 60"),
        ("partials: 700", "partials: 20"),
        ("negatives: 1800", "negatives: 20"),
        ("drop_share: 0.02", f"drop_share: {drop_share}"),
        ("evaluation_neighbours: 200", "evaluation_neighbours: 0"),
        ("evaluation_hours: 1.0", "evaluation_hours: 0.0"),
        (re.findall("engines: {.*}", text)[0], f"engines: {engines}"),
        ("  workers: 2\n\ncorpus", f"  workers: {workers}\n\ncorpus"),
    ):
        assert before in text
        text = text.replace(before, after)
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(text, "utf-8")
    run_stage("phrases", root=root)
    return root


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = workspace(tmp_path_factory.mktemp("finished"))
    run_stage("synthesize", root=root)
    return root / STAGES["synthesize"].out


def test_the_pack_is_what_was_planned(finished: Path) -> None:
    pack = ClipPack(finished)
    summary = json.loads((finished / "summary.json").read_text("utf-8"))
    assert Counter(clip.kind for clip in pack.clips) == {"positive": 60, "partial": 20, "negative": 20}
    assert summary["clips"] == Counter(clip.engine for clip in pack.clips)
    assert summary["missing"] == summary["refused"] == summary["dropped"] == {}
    assert summary["licences"] == ["Apache-2.0", "GPL-3.0-or-later"]
    assert all(summary["voices"][split] for split in SPLITS)
    assert all(any(pack.select(kind="positive", split=split)) for split in SPLITS)
    for index, clip in enumerate(pack.clips):
        assert 1600 < clip.n_samples == len(pack.audio(index)) < 16000 * 12
        assert abs(pack.audio(index)).max() == 16384


def test_each_clip_is_what_its_line_says(finished: Path) -> None:
    # hibari's clips do not depend on what it said before, so the plan can be followed here, one clip after another.
    loaded = load_settings(finished.parents[1] / "params.yaml")
    requests = plan_clips(
        read_texts(finished.parents[1] / STAGES["phrases"].out / "phrases.json"),
        counts={"positive": 60, "partial": 20, "negative": 20},
        engines={name: ENGINES[name] for name in ("hibari", "espeak")},
        shares={"hibari": 0.3, "espeak": 0.7},
        speed=loaded.synthesize.speed,
        seed=loaded.seed,
    )
    pack = ClipPack(finished)
    assert [(r.text, r.split, r.speed) for r in requests] == [(c.text, c.split, c.speed) for c in pack.clips]
    places = [i for i, request in enumerate(requests) if request.engine == "hibari"][::5]
    spoken = ENGINES["hibari"].speak([requests[i] for i in places], 0)
    for place, samples in zip(places, spoken, strict=True):
        clip = finish_clip(samples, sample_rate_hz=24000, text=requests[place].text, speed=requests[place].speed)
        assert clip is not None
        assert np.array_equal(clip, pack.audio(place))


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(finished: Path, tmp_path: Path) -> None:
    root = workspace(tmp_path, workers=1)
    run_stage("synthesize", root=root)
    assert bytes_of(root / STAGES["synthesize"].out) == bytes_of(finished)
    assert not list((root / "checkpoints").glob("*/*"))


def test_a_missing_engine_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = workspace(tmp_path, engines="{flite: 0.3, espeak: 0.7}")
    monkeypatch.setenv("PATH", str(tmp_path))
    run_stage("synthesize", root=root)
    said = capsys.readouterr().err
    assert said.count("apt-get install flite") == 1
    summary = json.loads((root / STAGES["synthesize"].out / "summary.json").read_text("utf-8"))
    assert (list(summary["missing"]), summary["clips"]) == (["flite"], {"espeak": 100})
    workspace(tmp_path, engines="{flite: 1.0}")
    with pytest.raises(ConfigError, match=r"synthesize\.engines; got none of flite installed"):
        run_stage("synthesize", root=root)


def test_a_german_phrase_from_its_phonemes_to_its_clips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], front_end: None
) -> None:
    root = workspace(
        tmp_path, phrase="Hallo Küche", language="de", engines="{hibari: 0.5, espeak: 0.5}", drop_share=0.05
    )
    document = json.loads((root / STAGES["phrases"].out / "phrases.json").read_text("utf-8"))
    assert document["phonemes"] == "hˈaloː kˈʏçə"
    run_stage("synthesize", root=root)
    assert "hibari is not heard with the phrase: it does not speak de" in capsys.readouterr().err
    summary = json.loads((root / STAGES["synthesize"].out / "summary.json").read_text("utf-8"))
    assert summary["silent"] == {"hibari": "it does not speak de"}
    assert summary["dropped"] == {"espeak": 2}  # of 42 + 6 clips of the phrase for training and validation
    clips = ClipPack(root / STAGES["synthesize"].out).clips
    assert {clip.engine for clip in clips if clip.kind in {"positive", "partial"}} == {"espeak"}
    assert {clip.engine for clip in clips if clip.kind == "negative"} == {"espeak", "hibari"}
    assert Counter(clip.kind for clip in clips) == {"positive": 58, "partial": 20, "negative": 20}


def test_a_pronunciation_is_what_engines_are_given(tmp_path: Path) -> None:
    root = workspace(tmp_path, pronunciation="heɪ ˈnɑːnoʊ")
    texts = read_texts(root / STAGES["phrases"].out / "phrases.json")
    assert texts.phonemes == "heɪ nˈɑːnoʊ"
    assert {"/heɪ nˈɑːnoʊ/", "/heɪ nˈɑːnoʊ!/", "/heɪ, nˈɑːnoʊ/"} <= set(texts.positives)
    assert {"/heɪ/", "/nˈɑːnoʊ/", "/nˈɑːnoʊ heɪ/"} <= set(texts.partials)
    for text in [*texts.positives, *texts.partials]:
        assert text[0] == text[-1] == "/"
    run_stage("synthesize", root=root)
    pack = ClipPack(root / STAGES["synthesize"].out)
    assert {clip.engine for clip in pack.clips if clip.kind == "positive"} == {"espeak", "hibari"}
    assert all(0.35 < clip.n_samples * clip.speed / 16000 < 1.6 for clip in pack.clips if clip.kind == "positive")


@pytest.fixture
def front_end() -> None:
    if not (cache_folder() / "wakehubert").is_dir():
        pytest.skip("the front end wakehubert is not downloaded yet; python -m steps features does it")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "the file"),
        ('{"language": "en-us", "phonemes": "a", "positives": [], "partials": [], "sentences": ["a"]}', "positives"),
        (
            '{"language": "en-us", "phonemes": "a", "positives": ["a"], "partials": [3], "sentences": ["a"]}',
            r"partials\.0",
        ),
        ('{"language": "en-us", "phonemes": "a", "positives": ["a"], "partials": []}', "sentences"),
    ],
)
def test_a_badly_edited_file_of_phrases_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "phrases.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=words):
        read_texts(path)


ECHO = (sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read() * 2)")


def test_finished_shards_are_not_done_again(tmp_path: Path) -> None:
    jobs = {name: name.encode() for name in ("a", "b", "c", "d")}
    seen: list[str] = []

    def interrupt(name: str) -> None:
        seen.append(name)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_shards(ECHO, jobs, folder=tmp_path, workers=1, done=interrupt)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert set(seen) <= set(kept) <= set(jobs)
    assert len(kept) < 4
    paths = run_shards(ECHO, jobs, folder=tmp_path, workers=2, done=seen.append)
    assert {name: path.read_bytes() for name, path in paths.items()} == {name: 2 * name.encode() for name in jobs}
    assert all((tmp_path / name).stat().st_mtime_ns == then for name, then in kept.items())
    assert sorted(seen[2:]) == list(jobs)


def test_a_shard_that_fails_says_its_last_words_and_leaves_nothing(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('half'); raise SystemExit('no voice today')")
    with pytest.raises(DependencyError, match="a could not be made: exit status 1, no voice today"):
        run_shards(command, {"a": b""}, folder=tmp_path, workers=2, done=print)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
def test_a_full_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / f"a.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        run_shards(ECHO, {"a": b"1"}, folder=tmp_path, workers=1, done=print)
    assert not list(tmp_path.iterdir())


def test_terminating_a_run_ends_its_workers(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from steps.shards import run_shards\n"
        "sleeper = 'import os, time, sys; open(sys.stdin.read(), \"w\").write(str(os.getpid())); time.sleep(60)'\n"
        "folder = Path(sys.argv[1])\n"
        "jobs = {n: str(folder / (n + '.pid')).encode() for n in 'ab'}\n"
        "run_shards([sys.executable, '-c', sleeper], jobs, folder=folder / 'out', workers=2, done=print)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, cwd=REPOSITORY)
    deadline = time.monotonic() + 20
    while not all((tmp_path / f"{n}.pid").exists() and (tmp_path / f"{n}.pid").read_text() for n in "ab"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = [int((tmp_path / f"{n}.pid").read_text()) for n in "ab"]
    parent.send_signal(signal.SIGTERM)
    _, words = parent.communicate(timeout=10)
    assert b"KeyboardInterrupt" in words
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert not list((tmp_path / "out").iterdir())
