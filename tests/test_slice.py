"""The whole product once, small and with nothing replaced: a phrase in, a model that hears it out.

One run of the real pipeline, a minute or two with two fast speech engines; then each promise that needs its results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.detector import Detector
from nanowakeword import DetectionStream, Graph, NanoInterpreter
from nanowakeword.cli import main as command
from nanowakeword.remote import detect_remote
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from steps.clippack import ClipPack
from steps.export import check_parity
from steps.workspace import prepare_workspace
from tests.flows.conftest import use_own_cache
from tests.serving.running import LoopThread, RunningServer

OPTIONS = [
    "phrases.sentences=200",
    "synthesize.engines={espeak: 0.6, hibari: 0.4}",
    "synthesize.positives=240",
    "synthesize.partials=60",
    "synthesize.negatives=160",
    "synthesize.evaluation_neighbours=40",
    "synthesize.evaluation_hours=0.05",
    "augment.copies=1",
    "augment.negatives=500",
    "augment.noise=100",
    "train.members=1",
    "train.layer_size=24",
    "train.steps=150",
    "distill.steps=150",
    "train.checkpoint_every_steps=50",
]


def dvc(workspace: Path, *arguments: str) -> str:
    """Run DVC; returns what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2_000:] + result.stderr[-4_000:]
    return result.stdout


def ran(output: str) -> list[str]:
    """Stages that DVC says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which ``dvc repro`` has run."""
    folder = tmp_path_factory.mktemp("slice") / "workspace"
    prepare_workspace(folder, phrase="hey nano", options=OPTIONS)
    use_own_cache(folder)
    dvc(folder, "repro")
    return folder


@pytest.fixture(scope="session")
def spoken(workspace: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clips of the phrase and of other speech, of voices that training never heard."""
    pack = ClipPack(workspace / "artifacts" / "synthesize")
    return tuple(  # type: ignore[return-value]
        [np.array(pack.audio(number)) for number in pack.select(kind=kind, split="test")]
        for kind in ("positive", "negative")
    )


def padded(clip: np.ndarray) -> np.ndarray:
    """A clip with a second of silence on either side, whole hops."""
    quiet = np.zeros(SAMPLE_RATE_HZ, np.int16)
    audio = np.concatenate([quiet, clip, quiet])
    return np.concatenate([audio, np.zeros(-len(audio) % HOP_SAMPLES, np.int16)])


def test_everything_a_user_takes_away_is_there(workspace: Path) -> None:
    names = {path.name for path in (workspace / "output").iterdir()}
    models = {"hey_nano.onnx", "hey_nano_lite.onnx", "hey_nano_head.onnx", "hey_nano.pt"}
    assert names == models | {"report.md", "metrics.json", "det.png", "confusables.png"}
    assert "hey nano" in (workspace / "journal.md").read_text()
    assert "synthetic voices kept out of training" in (workspace / "output" / "report.md").read_text()


def test_it_hears_new_voices_say_the_phrase_and_not_other_speech(
    workspace: Path, spoken: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    interpreter = NanoInterpreter.load_model(str(workspace / "output" / "hey_nano.onnx"))
    heard = [[max(r.score for r in interpreter.predict_clip(padded(clip))) for clip in clips] for clips in spoken]
    positives, negatives = map(np.array, heard)
    threshold = np.quantile(negatives, 0.9)
    assert (positives > threshold).mean() > 0.8


def test_the_card_says_what_it_is_made_of(workspace: Path) -> None:
    card = Graph.load(workspace / "output" / "hey_nano.onnx").card
    content = card.content
    assert (card.phrase, card.kind) == ("hey nano", "detector")
    assert content["phonemes"]
    assert [budget["fa_per_hour"] for budget in content["thresholds"]] == [0.1, 0.5, 1.0, 2.0]
    assert {budget["basis"] for budget in content["thresholds"]} == {"synthetic speech"}
    assert content["threshold"] == content["thresholds"][1]["threshold"]
    assert content["training"]["licences"] == ["Apache-2.0", "GPL-3.0-or-later"]
    assert [frontend["licence"] for frontend in content["frontends"]] == ["Apache-2.0", "Apache-2.0"]
    assert content["metrics"]["test"]["hours"] > 0.04
    assert Graph.load(workspace / "output" / "hey_nano_lite.onnx").card.kind == "gate"


def test_nothing_of_the_machine_is_in_the_files(workspace: Path) -> None:
    for path in (workspace / "output").iterdir():
        content = path.read_bytes()
        for trace in (str(workspace), sys.prefix, "site-packages"):
            assert trace.encode() not in content, (path.name, trace)


def test_batch_streamed_and_exported_agree(workspace: Path) -> None:
    """Checked again with another seed; the exporter itself checks each file that it writes."""
    for weights, file in (("finetune/detector.pt", "hey_nano.onnx"), ("distill/gate.pt", "hey_nano_lite.onnx")):
        detector = Detector.from_saved(torch.load(workspace / "artifacts" / weights, weights_only=True))
        assert check_parity(detector, workspace / "output" / file, seed=1234, tolerance=1e-4) < 1e-4


def test_a_fresh_stream_is_a_stream_after_silence(workspace: Path) -> None:
    """All zeros mean "after digital silence": seconds of it change no score."""
    graph = Graph.load(workspace / "output" / "hey_nano.onnx")
    silence = np.zeros((1, 50 * HOP_SAMPLES), np.int16)
    scores, state, _ = graph.run(silence, graph.zero_state())
    np.testing.assert_allclose(scores, scores[0, 0], atol=1e-4)
    np.testing.assert_allclose(state, 0.0, atol=2e-2)


def test_any_chunks_of_a_clip_give_the_same_events(
    workspace: Path, spoken: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    graph = Graph.load(workspace / "output" / "hey_nano.onnx")
    audio = np.concatenate([padded(clip) for clip in spoken[0][:4]])
    rng = np.random.default_rng(0)
    results = []
    for cuts in ([], [777, 40_000], sorted(rng.integers(1, len(audio), size=60))):
        stream = DetectionStream(graph, threshold=0.5)
        events = [event for piece in np.split(audio, cuts) for event in stream.feed(piece)]
        results.append([(event.start_s, event.end_s) for event in [*events, *stream.flush()]])
    assert results[0]
    assert results[0] == results[1] == results[2]


def test_the_server_finds_what_the_runtime_finds(
    workspace: Path, spoken: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    model = workspace / "output" / "hey_nano.onnx"
    audio = np.concatenate([padded(clip) for clip in (*spoken[0][:4], *spoken[1][:4])])
    stream = DetectionStream(Graph.load(model), threshold=0.5)
    local = [*stream.feed(audio), *stream.flush()]
    with LoopThread() as loop, RunningServer(loop, models=(model,)) as server:
        remote = detect_remote(server.address, audio, threshold=0.5)
    assert local
    assert [(event.start_s, event.end_s) for event in remote] == [(event.start_s, event.end_s) for event in local]


def test_the_second_run_does_nothing_and_quickly(workspace: Path) -> None:
    started = time.monotonic()
    output = dvc(workspace, "repro")
    assert "up to date" in output
    assert ran(output) == []
    # The budget is 5 s; a busy machine gets more, a stage that ran would take much longer.
    assert time.monotonic() - started < 20


def test_evaluation_of_any_model_and_folders(
    workspace: Path,
    spoken: tuple[list[np.ndarray], list[np.ndarray]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import soundfile

    for name, clips in zip(("phrase", "other"), spoken, strict=True):
        (tmp_path / name).mkdir()
        for number, clip in enumerate(clips[:6]):
            soundfile.write(tmp_path / name / f"{number}.flac", clip, SAMPLE_RATE_HZ)
    arguments = ["evaluate", str(workspace / "output" / "hey_nano.onnx"), "--babble-snr-db", "10"]
    folders = ["--positives", str(tmp_path / "phrase"), "--negatives", str(tmp_path / "other")]
    assert command([*arguments, *folders, "--json", str(tmp_path / "report.json")]) == 0
    assert "babble 10 dB" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["positives"] == 6


def test_the_model_is_one_plain_onnx_file(workspace: Path) -> None:
    model = onnx.load(workspace / "output" / "hey_nano.onnx", load_external_data=False)
    onnx.checker.check_model(model)
    assert not [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    assert {entry.domain for entry in model.opset_import} == {""}
    assert {entry.version for entry in model.opset_import} == {18}


def test_a_changed_export_setting_runs_export_and_what_follows(workspace: Path) -> None:
    settings = workspace / "params.yaml"
    settings.write_text(settings.read_text().replace("opset: 18", "opset: 19"))
    assert ran(dvc(workspace, "repro")) == ["export", "evaluate", "publish"]
    assert {entry.version for entry in onnx.load(workspace / "output" / "hey_nano.onnx").opset_import} == {19}
