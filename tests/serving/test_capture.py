"""What streams heard, and nearly heard, is kept for the next training, if the owner wants it."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.errors import StorageError
from serving import capture as capture_module
from serving.config import ServerConfig
from serving.engine import Engine
from serving.models import Selection
from tests.tiny_model import silence, tone


def listen(recording: Samples, *names: str, worker: int = 0, piece: int = 1_280, **settings: Any) -> None:
    """Let a stream of an engine hear a recording."""

    async def scenario() -> None:
        session = engine.open([Selection(name=name) for name in names])
        for at in range(0, len(recording), piece):
            await engine.feed(session, recording[at : at + piece])
        await engine.finish(session)
        engine.close_session(session)

    with Engine.load(ServerConfig(**settings), worker=worker) as engine:
        asyncio.run(scenario())


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "misses.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("piece", [1_000, 1_280, 16_000])
def test_detections_and_near_misses_are_kept(
    models: list[Path], recording: Samples, tmp_path: Path, piece: int
) -> None:
    """Of three tones ``beep`` fires at the first and, twice, at the long last one; the one between is too weak."""
    folder = tmp_path / "kept"
    listen(recording, "beep", models=(models[0],), capture_dir=folder, piece=piece)
    kept = rows(folder)
    assert [(row["kind"], row["model"], row["threshold"]) for row in kept] == [
        ("detection", "beep", 0.75),
        ("near_miss", "beep", 0.75),
        ("detection", "beep", 0.75),
        ("detection", "beep", 0.75),
    ]
    for row in kept:
        audio = read_audio(folder / row["file"])
        assert 2.9 * 16_000 <= len(audio) <= 3.1 * 16_000 or row is kept[0], "the first begins with the stream"
        assert np.abs(audio).max() > 4_000, "the tone is in it"


def test_near_misses_can_be_left_out(models: list[Path], recording: Samples, tmp_path: Path) -> None:
    listen(recording, models=(models[0],), capture_dir=tmp_path / "kept", capture_near_miss=False)
    assert [row["kind"] for row in rows(tmp_path / "kept")] == ["detection"] * 3


def test_nothing_is_kept_unless_asked_for(
    models: list[Path], recording: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listen(recording, models=(models[0],))
    assert list(tmp_path.rglob("*")) == []


def test_the_folder_keeps_its_size(models: list[Path], tmp_path: Path) -> None:
    many = np.concatenate([np.concatenate([silence(2.0), tone(1.0)]) for _ in range(6)])
    listen(many, "beep", models=(models[0],), capture_dir=tmp_path, capture_max_mb=0.3)
    files = list(tmp_path.glob("*.wav"))
    assert sum(path.stat().st_size for path in files) <= 300_000
    assert {row["file"] for row in rows(tmp_path)} == {path.name for path in files}
    assert 1 <= len(files) <= 3


def test_workers_have_folders_of_their_own(models: list[Path], recording: Samples, tmp_path: Path) -> None:
    for worker in (0, 1):
        listen(recording, models=(models[0],), capture_dir=tmp_path, workers=2, worker=worker)
    assert sorted(path.parent.name for path in tmp_path.rglob("misses.jsonl")) == ["worker_0", "worker_1"]


def test_a_stream_that_ends_gives_what_it_has(models: list[Path], tmp_path: Path) -> None:
    listen(np.concatenate([silence(0.5), tone(0.5)]), models=(models[0],), capture_dir=tmp_path)
    (row,) = rows(tmp_path)
    assert len(read_audio(tmp_path / row["file"])) == 1.04 * 16_000, "whole hops"


def test_a_folder_that_cannot_be_written(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot keep recordings in"):
        Engine.load(ServerConfig(models=(models[0],), capture_dir=tmp_path / "file"))


def test_a_disk_that_is_too_slow_stops_the_keeping_and_not_the_stream(
    models: list[Path],
    recording: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(capture_module, "_MOST_WAITING", 0)
    caplog.set_level(logging.WARNING)
    listen(recording, models=(models[0],), capture_dir=tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        "what a stream hears is no longer kept: the disk is too slow"
    ]
    assert rows(tmp_path) == []
