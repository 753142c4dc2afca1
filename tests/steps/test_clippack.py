"""Clips on disk: what goes in comes out, and damage is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanowakeword.errors import StorageError
from steps.clippack import Clip, ClipPack, Kind, Split, write_clips


def clip(
    n_samples: int, *, kind: Kind = "positive", split: Split = "train", text: str = "hey nano", speed: float = 1.0
) -> Clip:
    return Clip(
        kind=kind,
        text=text,
        engine="espeak",
        voice="en-us",
        split=split,
        speed=speed,
        licence="GPL-3.0-or-later",
        n_samples=n_samples,
    )


@pytest.fixture
def pack(tmp_path: Path) -> ClipPack:
    ramp = np.arange(100, dtype=np.int16)
    clips = [
        (clip(30), ramp[:30]),
        (clip(0, kind="negative"), ramp[:0]),
        (clip(50, text='say "é"\u2028', split="test"), ramp[50:]),
    ]
    assert write_clips(tmp_path, clips) == 3
    return ClipPack(tmp_path)


def test_round_trip(pack: ClipPack) -> None:
    assert len(pack) == 3
    assert pack.clips[2] == clip(50, text='say "é"\u2028', split="test")
    np.testing.assert_array_equal(pack.audio(0), np.arange(30))
    assert pack.audio(1).shape == (0,)
    np.testing.assert_array_equal(pack.audio(2), np.arange(50, 100))
    assert pack.audio(2).dtype == np.int16


def test_select(pack: ClipPack) -> None:
    assert list(pack.select(kind="positive", split="test")) == [2]
    assert list(pack.select(kind="partial", split="train")) == []


def test_no_clips(tmp_path: Path) -> None:
    assert write_clips(tmp_path, []) == 0
    assert len(ClipPack(tmp_path)) == 0


def test_audio_must_be_what_the_clip_says(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"got float32 \(5,\); expected int16 \(5,\)"):
        write_clips(tmp_path, [(clip(5), np.zeros(5, np.float32))])
    with pytest.raises(StorageError, match=r"got int16 \(4,\); expected int16 \(5,\)"):
        write_clips(tmp_path, [(clip(5), np.zeros(4, np.int16))])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("audio.npy", b""),
        ("audio.npy", b"\x93NUMPY garbage"),
        ("audio.npy", None),
        ("clips.jsonl", b"{\n"),
        ("clips.jsonl", b'{"kind": "positive"}\n'),
        ("clips.jsonl", b"\xff\xfe\n"),
        ("clips.jsonl", b""),
        ("clips.jsonl", None),
    ],
)
def test_damage_is_told(pack: ClipPack, tmp_path: Path, file: str, content: bytes | None) -> None:
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(StorageError, match=r"is damaged.*run the stage again"):
        ClipPack(tmp_path)


def test_cut_audio_is_told(pack: ClipPack, tmp_path: Path) -> None:
    whole = (tmp_path / "audio.npy").read_bytes()
    (tmp_path / "audio.npy").write_bytes(whole[:-10])
    with pytest.raises(StorageError, match="is damaged"):
        ClipPack(tmp_path)
