"""Windows hold what their labels say, words are whole, and bytes depend on the seed alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.errors import ConfigError, StorageError
from nanowakeword.timing import HOP_SAMPLES
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import ClipPack, write_clips
from steps.recipes import Plan, RecipeDrawer
from steps.rendering import load_sources
from steps.rooms import Rooms
from steps.settings import Shares, load_settings
from steps.sources import Sources
from steps.stage import run_stage
from steps.store import RowReader
from steps.windows import FORMS, POOLS, SPLITS, Form, Recipe, render
from tests.steps.toy import PHRASE_HZ, REPOSITORY, clips, tone, workspace

# Every augmentation, those that are off by default too.
ALL_SHARES = {
    name: share or 0.1 for name, share in load_settings(REPOSITORY / "params.yaml").augment.shares.model_dump().items()
}
SMALL: dict[str, Any] = {
    "copies": 5,
    "negatives": 40,
    "noise": 16,
    "workers": 1,
    "window_s": 2.0,
    "rooms": 3,
    "shares": ALL_SHARES,
}
# Nothing that would change how loud a tone is within itself.
SHARES = dict.fromkeys(Shares.model_fields, 0.0)
QUIET: dict[str, Any] = {
    **SMALL,
    "shares": {**SHARES, "speed": 0.9, "tempo": 0.5, "context": 0.58, "level": 1.0, "take": 0.15},
}
N = 32_000


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(f.relative_to(folder)).encode() + f.read_bytes() for f in files)).hexdigest()


def augment(root: Path) -> Path:
    run_stage("augment", root=root)
    return root / "artifacts" / "augment"


def load(out: Path, split: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    group = RowReader(out / "windows.zarr" / split)
    recipes = [json.loads(line) for line in (out / "recipes.jsonl").read_text("utf-8").splitlines()]
    return {name: group[name].all() for name in group}, [r for r in recipes if r["split"] == split]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return augment(workspace(tmp_path_factory.mktemp("a"), {"augment": SMALL}))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, clips(neighbours=True))
    return Sources(ClipPack(folder), split="train", recordings=(), phrase="hey nano")


def test_recipes_of_another_version_say_so() -> None:
    with pytest.raises(StorageError, match=r"another version.*dvc repro"):
        Recipe.from_json({"split": "train", "index": 0, "form": "phrase", "clip": 0, "speed": {"factor": 1.13}})


def test_counts_types_and_pools(out: Path) -> None:
    rows, recipes = load(out, "train")
    assert rows["audio"].shape == (len(recipes), N)
    assert rows["audio"].dtype == np.int16
    assert {name: str(rows[name].dtype) for name in ("label", "pool", "word_start", "word_end", "clip")} == {
        "label": "int8",
        "pool": "int8",
        "word_start": "int32",
        "word_end": "int32",
        "clip": "int32",
    }
    # 4 clips of the phrase by 5 copies, 2 cut short, 4 partials by 5; 40 of speech, 16 of noise.
    assert np.bincount(rows["pool"]).tolist() == [20, 22, 40, 16]
    assert np.array_equal(rows["label"] == 1, rows["pool"] == 0)
    pools = RowReader(out / "windows.zarr" / "train").attributes["pools"]
    assert pools == ["positive", "partial", "speech", "noise", "neighbour"]
    validation, _ = load(out, "validation")
    assert np.bincount(validation["pool"]).tolist() == [20, 22, 5, 2]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["windows"]["train"]["cut"] == 2
    assert list(summary["augmented"]["train"]) == list(AUGMENTATIONS)
    assert summary["augmented"]["train"]["level"] == 98
    assert 60 < summary["augmented"]["train"]["speed"] < 82
    assert not (out / "rooms.npy").exists()


def test_neighbours_have_a_pool_of_their_own_in_training(tmp_path: Path) -> None:
    out = augment(workspace(tmp_path, {"augment": {**QUIET, "neighbour_copies": 3}}, neighbours=True))
    rows, recipes = load(out, "train")
    assert np.bincount(rows["pool"]).tolist() == [20, 22, 40, 16, 12]
    mine = rows["pool"] == POOLS.index("neighbour")
    assert {r["form"] for r, is_mine in zip(recipes, mine, strict=True) if is_mine} == {"neighbour"}
    assert (rows["word_start"][mine] >= 0).all()
    assert (rows["word_end"][mine] <= N).all()
    assert "neighbour" not in {r["form"] for r in load(out, "validation")[1]}
    none = augment(workspace(tmp_path / "none", {"augment": {**QUIET, "neighbour_copies": 0}}, neighbours=True))
    assert np.bincount(load(none, "train")[0]["pool"]).tolist() == [20, 22, 40, 16]


def test_recipes_stand_in_the_order_of_the_rows(out: Path) -> None:
    for split in ("train", "validation"):
        rows, recipes = load(out, split)
        assert [r["index"] for r in recipes] == list(range(len(recipes)))
        assert [Recipe.from_json(r).clip for r in recipes] == rows["clip"].tolist()
        assert [r["form"] == "phrase" for r in recipes] == (rows["label"] == 1).tolist()


def test_splits_share_no_clip(out: Path) -> None:
    train, validation = (set(load(out, split)[0]["clip"]) - {-1} for split in ("train", "validation"))
    assert train
    assert validation
    assert not train & validation


def test_words_end_where_they_should(out: Path) -> None:
    rows, recipes = load(out, "train")
    forms = np.array([r["form"] for r in recipes])
    whole = np.isin(forms, ["phrase", "partial", "ending", "piece"])
    assert (rows["word_start"][whole] >= 0).all()
    assert (rows["word_end"][whole] <= N).all()
    assert (rows["word_end"][whole] > N - 4_000).all()
    # Other speech ends where the phrase does, spread as widely.
    for form in ("phrase", "ending"):
        assert np.ptp(rows["word_end"][forms == form]) > 2_000
    cut = forms == "cut"
    heard = (N - rows["word_start"][cut]) / (rows["word_end"][cut] - rows["word_start"][cut])
    assert ((heard > 0.29) & (heard < 0.61)).all()
    assert (rows["word_start"][np.isin(forms, ["running", "noise"])] == -1).all()


def test_no_voice_in_noise(out: Path) -> None:
    _, recipes = load(out, "train")
    for recipe in recipes:
        if recipe["form"] == "noise":
            assert recipe["voices"] == []
            assert not {"room", "context"} & {effect["name"] for effect in recipe["effects"]}
            assert "babble" not in [effect.get("kind") for effect in recipe["effects"]]


def test_every_effect_is_used_in_the_order_of_the_table(out: Path) -> None:
    _, recipes = load(out, "train")
    order = list(AUGMENTATIONS)
    used = [[effect["name"] for effect in recipe["effects"]] for recipe in recipes]
    used += [[effect["name"] for effect in voice["effects"]] for r in recipes for voice in r["voices"]]
    assert set().union(*used) == set(order)
    assert all([order.index(name) for name in names] == sorted(order.index(name) for name in names) for names in used)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "noise"])
def test_every_effect_is_heard(toy: Sources, name: str) -> None:
    """In a little noise, or a gate would have nothing to silence; first and last of many, too."""
    heard = []
    for shares in ({"noise": 1.0}, {"noise": 1.0, name: 1.0}):
        drawer = RecipeDrawer(
            toy, split="train", seed=7, n_samples=N, shares=shares, snr_db=(50.0, 50.0), rooms=Rooms()
        )
        recipes = [drawer.draw(Plan(index=index, form="phrase", clip=toy.phrases[0])) for index in range(4)]
        assert all(recipe.names() == set(shares) for recipe in recipes)
        heard.append(np.stack([render(recipe, sources=toy, rooms=Rooms()).audio for recipe in recipes]))
    assert (heard[0] != heard[1]).any(axis=1).sum() >= 3


def test_a_window_comes_from_its_recipe_alone(out: Path) -> None:
    """Another process that has the recipe's line, the clips and nothing else renders the same samples."""
    sources = load_sources(clips=out.parent / "synthesize", corpus=out.parent / "corpus", phrase="hey nano")
    for split in SPLITS:
        rows, recipes = load(out, split)
        for audio, recipe in list(zip(rows["audio"], recipes, strict=True))[::4]:
            again = render(Recipe.from_json(recipe), sources=sources[split], rooms=Rooms())
            assert np.array_equal(again.audio, audio), recipe


@pytest.mark.parametrize("left_out", ["room", "noise", "codec"])
def test_leaving_one_out_leaves_the_rest_as_it_was(tmp_path: Path, out: Path, left_out: str) -> None:
    root = workspace(tmp_path, {"augment": SMALL})
    text = (root / "params.yaml").read_text()
    share = next(line for line in text.splitlines() if line.startswith(f"    {left_out}: "))
    (root / "params.yaml").write_text(text.replace(share, f"    {left_out}: 0.0"))
    without = load(augment(root), "train")[1]
    for mine, whole in zip(without, load(out, "train")[1], strict=True):
        # A window of noise is no voice with noise.
        is_noise = whole["form"] == left_out
        assert mine["effects"] == [item for item in whole["effects"] if is_noise or item["name"] != left_out]
        assert mine["voices"] == whole["voices"]


def test_the_word_is_whole(tmp_path: Path) -> None:
    """A steady tone is as loud at its first and last 20 ms as in its middle."""
    out = augment(workspace(tmp_path, {"augment": {**QUIET, "copies": 10}}, phrase_s=1.2))
    rows, recipes = load(out, "train")
    checked = 0
    for audio, start, end, recipe in zip(rows["audio"], rows["word_start"], rows["word_end"], recipes, strict=True):
        if recipe["form"] != "phrase":
            continue
        played = {effect["name"]: effect["factor"] for effect in recipe["voices"][0]["effects"]}
        pitch_hz = PHRASE_HZ * played.get("speed", 1.0)

        def loudness(first: int, audio: Any = audio, pitch_hz: float = pitch_hz) -> float:
            part = audio[first : first + 320].astype(float) * np.hanning(320)
            return float(abs(np.dot(part, np.exp(-2j * np.pi * pitch_hz * np.arange(320) / 16_000))))

        middle = loudness((start + end) // 2)
        assert loudness(start) > 0.3 * middle
        assert loudness(end - 320) > 0.3 * middle
        assert (end - start) * played.get("speed", 1.0) * played.get("tempo", 1.0) >= 1.19 * 16_000
        checked += 1
    assert checked == 40


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from([form for form in FORMS if form not in {"running", "noise"}]),
    index=st.integers(0, 2**31 - 1),
    seed=st.integers(0, 2**31 - 1),
    n_samples=st.integers(20, 100).map(lambda hops: hops * HOP_SAMPLES),
    shares=st.fixed_dictionaries({name: st.sampled_from([0.0, 0.5, 1.0]) for name in ("speed", "tempo", "pitch")}),
)
def test_a_word_is_never_cut_and_lies_where_it_is_said_to(
    toy: Sources, form: Form, index: int, seed: int, n_samples: int, shares: dict[str, float]
) -> None:
    drawer = RecipeDrawer(
        toy, split="train", seed=seed, n_samples=n_samples, shares=shares, snr_db=(0.0, 20.0), rooms=Rooms()
    )
    own = {"phrase": toy.phrases, "cut": toy.phrases, "partial": toy.partials, "neighbour": toy.neighbours}.get(form)
    clip = own[index % len(own)] if own else -1
    if own and toy.clip_samples(clip) > n_samples:
        return  # left out by the plan
    recipe = drawer.draw(Plan(index=index, form=form, clip=clip))
    audio = render(recipe, sources=toy, rooms=Rooms()).audio
    start, end = recipe.word
    if form in {"phrase", "partial", "neighbour"}:
        assert 0 <= start < end <= n_samples
    assert n_samples - 4_000 < end if form != "cut" else end > n_samples
    # The tone sounds as loud at both ends as in the middle, and nowhere else.
    inside = audio[max(0, start) : end].astype(float)
    middle = len(inside) // 2
    first, half, last = (np.std(part) for part in (inside[:320], inside[middle : middle + 320], inside[-320:]))
    assert min(first, last) > 0.3 * half > 30.0
    assert not np.abs(audio[: max(0, start)]).any()
    assert not np.abs(audio[end:]).any()
    if form == "cut":
        assert 0.29 < (n_samples - start) / (end - start) < 0.61


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    digests = {
        workers: digest(augment(workspace(tmp_path / str(workers), {"augment": {**SMALL, "workers": workers}})))
        for workers in (1, 2)
    }
    assert digests[1] == digests[2]


def test_another_seed_gives_other_windows(tmp_path: Path, out: Path) -> None:
    root = workspace(tmp_path, {"augment": SMALL})
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("seed: 7", "seed: 8"))
    assert not np.array_equal(load(augment(root), "train")[0]["audio"], load(out, "train")[0]["audio"])


def record(path: Path, kind: str, audio: Any, *, rate: int = 16_000) -> str:
    soundfile.write(path, audio, rate)
    facts = {"path": str(path), "kind": kind, "split": "train", "speaker": "", "source": "", "licence": "CC0-1.0"}
    return json.dumps({**facts, "seconds": len(audio) / rate}) + "\n"


def test_real_recordings_are_used_for_training_only(tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", {"augment": SMALL})
    silence = np.zeros(8_000, np.float32)
    spoken = np.concatenate([silence, tone(0.6), silence])
    response = np.zeros(2_000, np.float32)
    response[[100, 500]] = 0.9, 0.3
    lines = [
        record(tmp_path / "mine.wav", "keyword:Hey  Nano", spoken, rate=8_000),
        record(tmp_path / "long.wav", "keyword:hey nano", tone(3.0)),
        record(tmp_path / "other.wav", "keyword:computer", spoken),
        record(tmp_path / "talk.flac", "speech", np.tile(spoken, 4)),
        record(tmp_path / "rain.flac", "noise", np.random.default_rng(0).standard_normal(60_000) * 0.1),
        record(tmp_path / "tune.wav", "music", tone(0.5, 440.0)),
        record(tmp_path / "hall.wav", "rir", response),
        record(tmp_path / "test.wav", "speech", tone(1.0)).replace('"train"', '"test"'),
    ]
    (root / "artifacts" / "corpus" / "recordings.jsonl").write_text("".join(lines).replace("Hey  Nano", "Hey Nano"))
    out = augment(root)
    train, validation = load(out, "train")[1], load(out, "validation")[1]
    text = json.dumps(train)
    for name in ("mine.wav", "other.wav", "talk.flac", "rain.flac", "tune.wav", "hall.wav"):
        assert name in text
    assert "test.wav" not in text
    assert str(tmp_path) not in json.dumps(validation)
    mine = [r for r in train if any("mine.wav" in voice.get("recording", "") for voice in r["voices"])]
    assert [r["form"] for r in mine] == ["phrase"] * 20
    rows, _ = load(out, "train")
    for recipe in mine:
        length = rows["word_end"][recipe["index"]] - rows["word_start"][recipe["index"]]
        # 1.2 s at 8 kHz, trimmed, at some speed and tempo.
        assert 1.2 / 1.18 / 1.29 < length / 16_000 < 1.28 / 0.85 / 0.77
    # A recording longer than a window is left out, and counted.
    assert "long.wav" not in text
    assert json.loads((out / "summary.json").read_text())["left_out"] == 1


def test_clips_longer_than_a_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 1.9, 1.95, 2.0 and 2.05 s: the last does not fit, in either split.
    out = augment(workspace(tmp_path, {"augment": QUIET}, phrase_s=1.9))
    rows, recipes = load(out, "train")
    words = np.flatnonzero(rows["label"] == 1)
    assert len(words) == 15
    assert (rows["word_end"][words] <= N).all()
    for i in words:
        factors = [effect["factor"] for effect in recipes[i]["voices"][0]["effects"]]
        assert rows["word_end"][i] - rows["word_start"][i] >= 30_400 / np.prod(factors) - 2
    assert "left out 2 clips" in capsys.readouterr().err


def test_no_clip_fits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"window_s is shorter than every clip.*got 2\.0.*longer"):
        augment(workspace(tmp_path, {"augment": QUIET}, phrase_s=2.5))


def test_no_clips(tmp_path: Path) -> None:
    root = workspace(tmp_path, {"augment": QUIET}, each=0)
    with pytest.raises(ConfigError, match="no clips of the phrase in the split train"):
        augment(root)
    assert not (root / "artifacts" / "augment").exists()
