"""Features that the user has already: rows like all others, never loaded, checked before anything is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanowakeword.errors import ConfigError, StorageError
from steps.__main__ import main
from steps.checkpoints import checkpoint_paths, load_checkpoint
from steps.dataset import NpyRows, Source
from steps.losses import HardTargets
from steps.npy_sources import check_npy_sources, npy_sources
from steps.overlay import dump_tree, lay_over, load_tree
from steps.pipeline import pipeline_text
from steps.progress import Progress
from steps.settings import load_settings
from steps.stage import run_stage
from steps.store import RowReader
from steps.training import TrainingJob, train_head
from steps.training_rows import dataset, row_labels, used_rows
from tests.steps.test_resuming import FRONT_END, checkpoints, make_workspace
from tests.steps.test_training import make_head, make_job, weights_of
from tests.steps.toy_features import write_features

SHAPE = (16, 96)
MORE = {"path": "more.npy", "frontend": FRONT_END, "pool": "speech", "licence": "CC-BY-4.0"}
Captured = pytest.CaptureFixture[str]


def workspace(root: Path, *sources: dict[str, Any], **train: Any) -> Path:
    """A small one with ``more.npy``: the store's own rows that are not the phrase, as float32."""
    make_workspace(root, npy_sources=list(sources), **train)
    data = RowReader(root / "artifacts" / "features" / "features.zarr" / "train")
    rows = data[FRONT_END].rows(np.flatnonzero(data["label"].all() == 0))
    np.save(root / "more.npy", rows.astype(np.float32))
    return root


def test_they_are_as_good_as_rows_of_the_store(tmp_path: Path) -> None:
    """Neighbours from a file give the bits that the same neighbours in the store give."""
    heads = []
    for name, in_store, more in (("store", 30, ()), ("file", 0, ("loud.npy",))):
        write_features(tmp_path / name, frontends=(FRONT_END,), neighbours=in_store)
        np.save(tmp_path / "loud.npy", np.full((30, *SHAPE), 9.0, np.float16))
        job = make_job(tmp_path / name, tmp_path / f"{name} checkpoints", steps=5)
        sources = [Source(features=NpyRows(tmp_path / path), pools="neighbour") for path in more]
        composition = {**job.settings.batch_composition, "neighbour": 3}
        settings = job.settings.model_copy(update={"batch_composition": composition})
        loss = HardTargets(row_labels(job.train, sources), smoothing=0.0)
        job = TrainingJob(**{**vars(job), "settings": settings, "more": sources, "loss": loss})
        heads.append(make_head())
        train_head(heads[-1], job, progress=Progress("train"))
        assert used_rows(dataset(job.train, FRONT_END, sources), composition).tolist() == list(range(270))
    for key, value in weights_of(heads[0]).items():
        assert torch.equal(value, weights_of(heads[1])[key]), key


def test_labels_follow_the_pool(tmp_path: Path) -> None:
    write_features(tmp_path / "store", frontends=(FRONT_END,), rows=5)
    np.save(tmp_path / "more.npy", np.zeros((2, *SHAPE), np.float16))
    sources = [Source(features=NpyRows(tmp_path / "more.npy"), pools=pool) for pool in ("positive", "noise")]
    data = RowReader(tmp_path / "store" / "train")
    assert row_labels(data, sources).tolist() == [*data["label"].all().tolist(), 1, 1, 0, 0]


def test_a_training_draws_them(tmp_path: Path) -> None:
    """Stages train and average from end to end: rows of the file have losses of their own."""
    root = workspace(tmp_path / "w", MORE)
    run_stage("train", root=root)
    run_stage("average", root=root)
    losses = load_checkpoint(checkpoint_paths(checkpoints(root) / FRONT_END)[-1])["batches"]["sampler"]["losses"]
    added = NpyRows(root / "more.npy").shape[0]
    assert len(losses) == 60 + added
    assert (losses[60:] != 1.0).sum() > 5
    assert (root / "artifacts" / "average" / "detector.pt").is_file()
    assert "more.npy" in (root / "artifacts" / "train" / "report.md").read_text()


def test_what_changes_in_them_is_noticed(tmp_path: Path, capsys: Captured) -> None:
    """Also where the size and the time of the file are as they were."""
    root = workspace(tmp_path / "w", MORE)
    run_stage("train", root=root)
    before = checkpoints(root)
    again = workspace(tmp_path / "again", MORE)
    facts = (root / "more.npy").stat()
    for place in (root, again):
        np.save(place / "more.npy", np.load(place / "more.npy")[::-1])
    os.utime(root / "more.npy", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (root / "more.npy").stat().st_size == facts.st_size
    assert main(["train", "--workspace", str(again), "--resume", str(root)]) == 1
    assert "the data differ: npy_sources more.npy" in capsys.readouterr().err
    run_stage("train", root=root)
    assert checkpoints(root) != before
    text = pipeline_text(load_settings(root / "params.yaml"))
    for stage, depends in (("train", True), ("average", True), ("distill", False), ("features", False)):
        deps = text.split(f"\n  {stage}:\n")[1].split("    params:")[0]
        assert ("      - more.npy\n" in deps) == depends, stage


def pickled(path: Path) -> None:
    np.save(path, np.array([{}]), allow_pickle=True)


def archive(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, np.zeros((3, *SHAPE), np.float32))


def cut(path: Path) -> None:
    np.save(path, np.zeros((3, *SHAPE), np.float32))
    path.write_bytes(path.read_bytes()[:-8])


def array(shape: tuple[int, ...], kind: str = "<f4") -> Callable[[Path], None]:
    return lambda path: np.save(path, np.zeros(shape, kind))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent.npy": (Path.exists, "got no file; expected a .npy file"),
    "folder.npy": (Path.mkdir, "got no whole .npy file of numbers ("),
    "text.npy": (lambda path: path.write_text("no features"), "got no whole .npy file of numbers ("),
    "empty.npy": (Path.touch, "got no whole .npy file of numbers ("),
    "pickled.npy": (pickled, "got no whole .npy file of numbers ("),
    "archive.npy": (archive, "got no whole .npy file of numbers ("),
    "cut.npy": (cut, "got no whole .npy file of numbers ("),
    "double.npy": (
        array((3, *SHAPE), "<f8"),
        "got float64 [3, 16, 96]; expected float16 or float32 [rows, 16, 96]",
    ),
    "order.npy": (array((3, *SHAPE), ">f4"), "got >f4 [3, 16, 96]; expected float16 or float32 [rows, 16, 96], as "),
    "frames.npy": (array((3, 28, 96)), "got float32 [3, 28, 96]; expected float16 or float32 [rows, 16, 96], as "),
    "other.npy": (array((3, 84, 128)), "got float32 [3, 84, 128]; expected float16 or float32 [rows, 16, 96], as "),
    "flat.npy": (array((3, 1536)), "got float32 [3, 1536]; expected float16 or float32 [rows, 16, 96], as "),
    "none.npy": (array((0, *SHAPE)), "got "),
}


def test_all_wrong_files_are_named_at_once(tmp_path: Path, capsys: Captured) -> None:
    root = workspace(tmp_path / "w", MORE, *({**MORE, "path": name} for name in WRONG))
    for name, (make, _) in WRONG.items():
        make(root / name)
    for command in ("check", "train"):
        assert main([command, "--workspace", str(root)]) == 1
        told = capsys.readouterr().err
        assert f"train.npy_sources: {len(WRONG)} wrong files\n" in told
        for name, (_, message) in WRONG.items():
            assert f"\n  {name}: {message}" in told
        assert "more.npy" not in told


def test_the_form_is_that_of_the_front_end_as_set(tmp_path: Path) -> None:
    """Of `logmel` its bands and hop; paths may be absolute."""
    root = make_workspace(tmp_path / "w")
    file = tmp_path / "bands.npy"
    np.save(file, np.zeros((2, 82, 32), np.float16))
    tree = load_tree(root / "params.yaml")
    logmel = {**tree["features"]["logmel"], "bands": 32, "hop_ms": 20, "window_ms": 40}
    features = {"frontends": ["logmel", FRONT_END], "logmel": logmel}
    sources = [{**MORE, "path": str(file), "frontend": "logmel", "pool": "noise"}]
    lay_over(tree, {"features": features, "train": {"npy_sources": sources}}, known={})
    (root / "params.yaml").write_text(dump_tree(tree), encoding="utf-8")
    settings = load_settings(root / "params.yaml")
    check_npy_sources(settings, root=root)
    assert [source.features.shape for source in npy_sources(settings, "logmel", root=root)] == [(2, 82, 32)]
    assert npy_sources(settings, FRONT_END, root=root) == []


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", MORE)
    rows = np.zeros((1_500, *SHAPE), np.float16)
    rows[1_234, 5, 6] = np.nan
    np.save(root / "more.npy", rows)
    with pytest.raises(StorageError, match=r"more\.npy: row 1234; got a value that is no finite number"):
        run_stage("train", root=root)


def test_a_pool_of_files_alone_is_refused(tmp_path: Path) -> None:
    composition = {"positive": 8, "speech": 4, "neighbour": 2}
    root = workspace(tmp_path / "w", {**MORE, "pool": "neighbour"}, batch_composition=composition)
    with pytest.raises(
        ConfigError, match=r"more.npy for the pool neighbour, which has no windows; expected some of positive, partial"
    ):
        run_stage("train", root=root)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"npy_sources": [{**MORE, "pth": 1}]}, r"npy_sources\.0\.pth: unknown key; did you mean \"path\"\?"),
        (
            {"npy_sources": [{"path": "a.npy", "pool": "speech", "licence": "MIT"}]},
            r"npy_sources\.0\.frontend: missing",
        ),
        ({"npy_sources": [{**MORE, "licence": ""}]}, r"npy_sources\.0\.licence: "),
        ({"npy_sources": [{**MORE, "pool": "speach"}]}, r"npy_sources\.0\.pool: got 'speach'; expected 'positive', "),
        ({"npy_sources": [MORE, "a.npy"]}, r"npy_sources\.1: got 'a\.npy'; expected the settings path, frontend, pool"),
        ({"npy_sources": "a.npy"}, r"npy_sources: got 'a\.npy'; "),
        ({"npy_sources": [MORE, {**MORE, "pool": "noise"}]}, "npy_sources more.npy, more.npy; expected each file once"),
        ({"npy_sources": [{**MORE, "pool": "neighbour"}]}, "more.npy of pools that batch_composition takes nothing of"),
        ({"npy_sources": [MORE], "fusion": "joined"}, "npy_sources with fusion joined, whose rows are of all front"),
        (
            {"npy_sources": [{**MORE, "frontend": "logmel"}]},
            "train.npy_sources: got logmel; expected some of features.frontends, speech_embedding",
        ),
    ],
)
def test_wrong_settings(train: dict[str, Any], message: str, tmp_path: Path) -> None:
    make_workspace(tmp_path / "w", **train)
    with pytest.raises(ConfigError, match=message):
        load_settings(tmp_path / "w" / "params.yaml")
