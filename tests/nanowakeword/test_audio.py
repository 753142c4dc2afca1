from __future__ import annotations

import io
import sys
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nanowakeword.arrays import Samples
from nanowakeword.audio import audio_blocks, check_chunk, read_audio
from nanowakeword.errors import AudioError, DependencyError
from tests.nanowakeword.audio_files import flac_that_claims, wav_that_claims, write_wav
from tests.tiny_model import silence, tone

RAMP: Samples = np.arange(-32_768, 32_768, 7).astype(np.int16)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra ``audio``."""
    monkeypatch.setitem(sys.modules, "soundfile", None)
    monkeypatch.setitem(sys.modules, "soxr", None)


@pytest.mark.usefixtures("without_extra")
def test_plain_wav_needs_no_extra(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_audio(write_wav(tmp_path / "a.wav", RAMP)), RAMP)
    np.testing.assert_array_equal(read_audio(str(tmp_path / "a.wav")), RAMP)


@pytest.mark.usefixtures("without_extra")
def test_other_audio_names_the_extra(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", RAMP, 16_000)
    with pytest.raises(DependencyError, match=r'a\.flac is not 16-bit mono.*pip install "nanowakeword\[audio\]"'):
        read_audio(tmp_path / "a.flac")


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "au", "caf", "w64"])
def test_lossless_files_are_read_to_the_bit(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, RAMP, 16_000, subtype="PCM_16")
    np.testing.assert_array_equal(read_audio(path), RAMP)


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 255), ("PCM_24", 0), ("PCM_32", 0), ("FLOAT", 0), ("DOUBLE", 0), ("ULAW", 700)],
)
def test_other_widths_are_converted(tmp_path: Path, subtype: str, tolerance: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, RAMP / 32_768, 16_000, subtype=subtype)
    assert np.abs(read_audio(path).astype(int) - RAMP).max() <= tolerance


@pytest.mark.parametrize(
    ("suffix", "options"), [("ogg", {"subtype": "OPUS"}), ("ogg", {"subtype": "VORBIS"}), ("mp3", {})]
)
def test_lossy_files_are_read(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(1.0), 16_000, **options)
    samples = read_audio(path)
    assert 15_000 < len(samples) < 19_000
    middle = samples[4_000:12_000].astype(float)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(8_192 / np.sqrt(2), rel=0.05)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(0.1), silence(0.1)], axis=1), 16_000)
    np.testing.assert_allclose(read_audio(path), tone(0.1) / 2, atol=0.5)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_over_block_borders(
    tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanowakeword.audio._BLOCK_VALUES", rate)
    t = np.arange(3 * rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.25 * np.sin(2 * np.pi * 1_000 * t), rate, subtype="PCM_16")
    samples = read_audio(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(48_000, abs=2)
    middle = slice(2_000, 46_000)
    np.testing.assert_allclose(samples[middle], tone(3.0)[middle], atol=8)


def test_loud_floats_are_clipped_not_wrapped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0, 1.0, 0.5]), 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), [32_767, -32_768, 32_767, 16_384])


def test_a_wav_written_into_a_pipe_has_no_length(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", RAMP)
    data = bytearray(path.read_bytes())
    data[40:44] = data[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_audio(path), RAMP)


def damaged(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be used, and what their errors say."""
    cases: dict[str, tuple[bytes, str]] = {
        "empty.wav": (b"", "an empty file"),
        "text.wav": (b"hello", "cannot read"),
        "text.flac": (b"hello" * 100, "cannot read"),
        "header.wav": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "cannot read"),
        "zeros.ogg": (bytes(1000), "cannot read"),
    }
    whole = write_wav(folder / "whole.wav", RAMP).read_bytes()
    cases["short.wav"] = (whole[:-1000], "is cut short; got 1000 bytes less than its header names")
    cases["none.wav"] = (write_wav(folder / "n.wav", RAMP[:0]).read_bytes(), "holds no audio")
    soundfile.write(folder / "n.flac", RAMP, 16_000)
    flac = (folder / "n.flac").read_bytes()
    cases["short.flac"] = (flac[: len(flac) // 2], "cannot read")
    soundfile.write(folder / "nan.wav", np.array([0.0, np.nan]), 16_000, subtype="FLOAT")
    cases["nan.wav"] = ((folder / "nan.wav").read_bytes(), "not numbers")
    soundfile.write(folder / "n24.wav", RAMP, 16_000, subtype="PCM_24")
    cases["short24.wav"] = ((folder / "n24.wav").read_bytes()[:-999], "is cut short; got 998 bytes")
    for name, (content, _) in cases.items():
        (folder / name).write_bytes(content)
    return {name: (folder / name, message) for name, (_, message) in cases.items()}


def test_damaged_files_are_named_in_one_line(tmp_path: Path) -> None:
    for name, (path, message) in damaged(tmp_path).items():
        with pytest.raises(AudioError, match=message) as caught:
            read_audio(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no recording at"):
        read_audio(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="got a folder"):
        read_audio(tmp_path)
    with pytest.raises(AudioError, match="cannot read"):
        read_audio(tmp_path / ("x" * 300))


def test_what_a_header_claims_needs_no_memory() -> None:
    """Two days of eight channels, of which a hundredth of a second is there."""
    file = io.BytesIO(flac_that_claims(samples=2**36 - 1))
    tracemalloc.start()
    try:
        with pytest.raises(AudioError, match=r"cannot read a\.flac"):
            list(audio_blocks(file, name="a.flac"))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate_hz", [0, 3_999, 384_001, 2**31 - 1])
def test_rates_that_no_recording_has_are_refused(rate_hz: int) -> None:
    file = io.BytesIO(wav_that_claims(rate_hz=rate_hz))
    with pytest.raises(AudioError, match=r"cannot read a\.wav"):
        list(audio_blocks(file, name="a.wav"))


def test_random_bytes_raise_nothing_else(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.wav", RAMP[:500]).read_bytes()
    rng = np.random.default_rng(3)
    path = tmp_path / "a.wav"
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(44, size=3):
            data[at] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            assert len(read_audio(path))
        except AudioError as error:
            message = str(error)
            assert "\n" not in message


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros(1280, np.float32), r"got float32 \[1280\]; expected int16.*\* 32767"),
        (np.zeros(1280), "got float64"),
        (np.zeros(1280, np.uint16), "got uint16"),
        (np.zeros(1280, ">i2"), "got >i2"),
        (np.zeros((1280, 1), np.int16), r"got int16 \[1280, 1\]; expected int16 \[n\], one channel.*chunk\[:, 0\]"),
        (np.zeros((2, 1280), np.int16), "one channel"),
        (np.array(3, np.int16), r"got int16 \[\]"),
        (b"\x00\x00", "got bytes; .*np.frombuffer"),
        ([0, 1, 2], "got list"),
        (None, "got NoneType"),
    ],
)
def test_chunks_of_another_kind_are_refused(chunk: Any, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        check_chunk(chunk)


def test_any_length_of_int16_is_a_chunk() -> None:
    for n in (0, 1, 1280, 5000):
        assert len(check_chunk(np.zeros(n, np.int16))) == n


def test_wave_files_of_other_kinds_take_the_other_way(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.repeat(RAMP, 2).astype("<i2").tobytes())
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), RAMP)
