"""A teacher of which there is nothing but the exported file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.detector import Detector, DetectorConfig
from models.frontends.table import FRONT_ENDS
from models.sizes import choose_network
from nanowakeword.errors import ConfigError, ModelError
from nanowakeword.timing import HOP_S, HOP_SAMPLES
from steps.card import first_card
from steps.closure import CHECKOUT
from steps.features import FeatureExtractor
from steps.onnx_files import export_detector, write_card
from steps.progress import Progress
from steps.settings import load_settings
from steps.store import RowReader, RowWriter
from steps.teacher import checkpoint_logits, exported_logits, load_teacher
from tests.tiny_model import FULL_SCORE_AMPLITUDE, tiny_card, tone, write_tiny_model

WINDOWS = 300
SILENT = 7


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "beep.onnx")


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    """Tones, each louder than the one before, after a tone that is no longer heard when the window ends."""
    before = tone(4 * HOP_S, amplitude=FULL_SCORE_AMPLITUDE)
    rows = [np.concatenate([before, tone(5.5 * HOP_S, amplitude=20 * number)]) for number in range(WINDOWS)]
    rows[SILENT][len(before) :] = 0
    with RowWriter(tmp_path / "windows.zarr") as store:
        store.append("train/audio", np.stack(rows))
    return tmp_path / "windows.zarr" / "train"


@pytest.mark.parametrize("workers", [1, 2])
def test_it_answers_as_it_would_in_a_stream(model: Path, windows: Path, tmp_path: Path, workers: int) -> None:
    logits = exported_logits(model, windows, folder=tmp_path / "kept", workers=workers, progress=Progress("gate"))
    loud = slice(30, None)  # of a faint tone, samples are too few steps
    scores = 20.0 * np.arange(WINDOWS)[loud] / FULL_SCORE_AMPLITUDE
    assert logits.dtype == np.float32
    assert logits[loud] == pytest.approx(np.log(scores / (1 - scores)), abs=0.02)
    assert logits[SILENT] == pytest.approx(np.log(1e-7), abs=1e-3)


def test_a_run_that_goes_on_keeps_what_was_done(model: Path, windows: Path, tmp_path: Path) -> None:
    def listen() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return exported_logits(model, windows, folder=tmp_path / "kept", workers=1, progress=Progress("gate"))

    first = listen()
    one, other = sorted((tmp_path / "kept").rglob("*.npy"))
    one.unlink()
    other.with_suffix(".writing").write_bytes(b"cut short")
    seen = other.stat().st_mtime_ns
    assert np.array_equal(listen(), first)
    assert one.is_file()
    assert other.stat().st_mtime_ns == seen
    write_tiny_model(model, tiny_card(threshold=0.5))  # another model begins anew
    listen()
    assert len(list((tmp_path / "kept").rglob("*.npy"))) == 4


def test_the_exported_file_says_what_its_checkpoint_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = Detector(
        DetectorConfig(frontends=("logmel",), networks=(choose_network("tcn", layer_size=4),), members=2)
    )
    detector.calibration = torch.tensor([3.0, -1.0])
    detector.settle_silence()
    path = tmp_path / "hey_nano.onnx"
    export_detector(detector, path, state_size=detector.state_size, opset=18)
    write_card(path, first_card(detector, load_settings(CHECKOUT / "params.yaml"), kind="detector", model_name="nano"))
    loud = np.geomspace(1.0, 8_000.0, 20)[:, None]
    audio = (np.random.default_rng(0).standard_normal((20, 30 * HOP_SAMPLES)) * loud).astype(np.int16)
    with RowWriter(tmp_path / "store") as store:
        store.append("train/audio", audio)
        store.append("train/logmel", FeatureExtractor(FRONT_ENDS["logmel"])(audio))
        store.append("train/label", np.zeros(20, np.int8))
    train = tmp_path / "store" / "train"
    found = exported_logits(path, train, folder=tmp_path / "kept", workers=1, progress=Progress("gate"))
    assert np.ptp(found) > 0.1
    assert found == pytest.approx(checkpoint_logits(detector, RowReader(train)), abs=0.01)  # features are of 16 bits


def test_what_is_no_teacher_is_told_apart(model: Path, tmp_path: Path) -> None:
    assert load_teacher(model, phrase="Beep").path == model
    with pytest.raises(ConfigError, match=r"another phrase.*got 'beep'.*expected 'alexa'"):
        load_teacher(model, phrase="alexa")
    with pytest.raises(ConfigError, match=r"got a gate.*expected a detector"):
        load_teacher(write_tiny_model(tmp_path / "gate.onnx", tiny_card(kind="gate")), phrase="beep")
    for key, value in {"sample_rate_hz": 8_000, "hop_samples": 640}.items():
        with pytest.raises(ModelError, match=rf"wrong at {key}.*got {value}"):
            load_teacher(write_tiny_model(tmp_path / "odd.onnx", tiny_card(**{key: value})), phrase="beep")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot load"):
        load_teacher(tmp_path / "text.onnx", phrase="beep")
