"""Stored features are what the streaming front end gives, whoever extracts them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.frontends.table import FRONT_ENDS, build_front_end
from nanowakeword.errors import ConfigError, DependencyError
from steps.features import used_front_ends
from steps.settings import load_settings
from steps.stage import run_stage
from steps.store import RowReader, RowWriter
from tests.steps.toy import workspace

HOPS = 30


def prepare(root: Path, *, frontends: list[str], gate: str, workers: int = 1, hops: int = HOPS) -> Path:
    """A workspace with windows of noise of many levels."""
    settings = {"frontends": frontends, "gate_frontend": gate, "workers": workers}
    workspace(root, {"features": settings}, each=1)
    rng = np.random.default_rng(0)
    (root / "artifacts" / "augment").mkdir(parents=True, exist_ok=True)
    with RowWriter(root / "artifacts" / "augment" / "windows.zarr") as store:
        for split, n in (("train", 70), ("validation", 3)):
            levels = np.geomspace(1.0, 9000.0, n)[:, None]
            store.attributes[split] = {"pools": ["positive", "partial", "speech", "noise"]}
            store.append(f"{split}/audio", (rng.standard_normal((n, hops * 1280)) * levels).astype(np.int16))
            store.append(f"{split}/label", rng.integers(0, 2, n).astype(np.int8))
            store.append(f"{split}/pool", rng.integers(0, 4, n).astype(np.int8))
            store.append(f"{split}/clip", rng.integers(0, 99, n).astype(np.int32))
    return root


def extract(root: Path) -> Path:
    run_stage("features", root=root)
    return root / "artifacts" / "features" / "features.zarr"


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_features_equal_the_front_end_after_silence(name: str, tmp_path: Path) -> None:
    try:
        module = build_front_end(name)
    except DependencyError as error:
        pytest.skip(str(error))
    row = FRONT_ENDS[name]
    root = prepare(tmp_path, frontends=[name], gate=name)
    group = RowReader(extract(root) / "train")
    assert group[name].shape == (70, row.context_frames, row.n_features)
    assert group[name].dtype == np.float16

    # The plain way: a second of silence and then the whole window, in one go.
    audio = RowReader(root / "artifacts" / "augment" / "windows.zarr" / "train")["audio"].rows([0, 40, 69])
    padded = torch.from_numpy(np.pad(audio.astype(np.float32), ((0, 0), (40 * 1280, 0))))
    with torch.inference_mode():
        whole = module(padded, torch.zeros(3, module.state_size))[0][:, -row.context_frames :].numpy()
    assert np.allclose(group[name].rows([0, 40, 69]), whole, rtol=2e-3, atol=2e-3 * np.abs(whole).max())


def test_labels_come_along_and_the_front_end_is_named(tmp_path: Path) -> None:
    root = prepare(tmp_path, frontends=["logmel"], gate="logmel")
    for split in ("train", "validation"):
        windows = RowReader(root / "artifacts" / "augment" / "windows.zarr" / split)
        features = RowReader(extract(root) / split)
        assert sorted(features) == ["clip", "label", "logmel", "pool"]
        for name in ("clip", "label", "pool"):
            assert np.array_equal(features[name].all(), windows[name].all())
        assert features.attributes["pools"] == windows.attributes["pools"]
        assert features["logmel"].attributes["fingerprint"] == FRONT_ENDS["logmel"].fingerprint


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    digests = set()
    for workers in (1, 2):
        root = prepare(tmp_path / str(workers), frontends=["logmel"], gate="logmel", workers=workers)
        files = sorted(path for path in extract(root).rglob("*") if path.is_file())
        digests.add(hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest())
    assert len(digests) == 1


def test_a_window_shorter_than_the_heads_context(tmp_path: Path) -> None:
    root = prepare(tmp_path, frontends=["logmel"], gate="logmel", hops=20)
    with pytest.raises(
        ConfigError, match=r"window_s is too short for the front end logmel; got 1\.6 s; expected at least"
    ):
        extract(root)
    assert not (root / "artifacts" / "features").exists()


def test_each_front_end_is_used_once(tmp_path: Path) -> None:
    frontends: list[Any] = ["wakehubert", "logmel"]
    workspace(tmp_path, {"features": {"frontends": frontends, "gate_frontend": "logmel"}}, each=1)
    assert list(used_front_ends(load_settings(tmp_path / "params.yaml").features)) == ["wakehubert", "logmel"]
