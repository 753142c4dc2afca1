"""Audio of other rates and more channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword import NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.errors import ConfigError
from nanowakeword.resampling import ToMono16k, check_rate


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=12), rate_hz=st.sampled_from([8_000, 44_100, 48_000]))
def test_conversion_does_not_depend_on_the_pieces(sizes: list[int], rate_hz: int) -> None:
    samples = np.random.default_rng(0).integers(-9_000, 9_000, (sum(sizes), 2)).astype(np.int16)
    whole = ToMono16k(rate_hz, 2).feed(samples.ravel())
    converter = ToMono16k(rate_hz, 2)
    pieces = np.concatenate([converter.feed(piece.ravel()) for piece in np.split(samples, np.cumsum(sizes)[:-1])])
    # How much the filter holds back may differ, what comes out may not.
    shared = min(len(whole), len(pieces))
    np.testing.assert_allclose(pieces[:shared], whole[:shared], atol=1)


def test_conversion_keeps_a_tone_and_averages_the_channels() -> None:
    t = np.arange(48_000) / 48_000
    left = np.rint(8_000 * np.sin(2 * np.pi * 1_000 * t)).astype(np.int16)
    mono = ToMono16k(48_000, 2).feed(np.stack([left, np.zeros_like(left)], axis=1).ravel())
    assert 14_000 < len(mono) <= 16_000
    middle = mono[4_000:12_000]
    assert np.abs(middle).max() == pytest.approx(4_000, rel=0.01)
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() * 16_000 / len(middle) == pytest.approx(1_000, abs=3)


def test_conversion_clips() -> None:
    loud = np.where(np.arange(48_000) // 24 % 2, 32_767, -32_768).astype(np.int16)  # overshoots when band-limited
    mono = ToMono16k(48_000, 1).feed(loud)
    assert mono.max() == 32_767
    assert mono.min() == -32_768


def test_reset_is_like_new() -> None:
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 9_000).astype(np.int16)
    converter = ToMono16k(44_100)
    first = converter.feed(samples)
    converter.reset()
    np.testing.assert_array_equal(converter.feed(samples), first)


def test_the_end_is_not_held_back() -> None:
    assert len(ToMono16k(48_000).feed(np.zeros(48_000, np.int16), last=True)) == 16_000


@pytest.mark.parametrize("rate_hz", [0, 3_999, 1_000_000, 16_000.0, True, "16000"])
def test_no_rate(rate_hz: Any) -> None:
    with pytest.raises(ConfigError, match="bad sample rate"):
        check_rate(rate_hz)


def tone(seconds: float, *, rate_hz: int) -> Samples:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    samples: Samples = np.rint(8_192 * np.sin(2 * np.pi * 1_000 * t)).astype(np.int16)
    return samples


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_an_interpreter_of_another_rate(tiny_path: Path, rate_hz: int) -> None:
    """Heard at the same time as at 16 kHz, in the stream and in a clip."""
    silence = np.zeros(2 * rate_hz, np.int16)
    audio = np.concatenate([silence, tone(0.8, rate_hz=rate_hz), silence])
    interpreter = NanoInterpreter.load_model(tiny_path, sample_rate_hz=rate_hz)
    heard = [
        item
        for start in range(0, len(audio), 999)
        for item in interpreter.predict(audio[start : start + 999]).detections
    ]
    assert [item.end_s for item in heard] == pytest.approx([2.32], abs=0.09)
    interpreter.reset()
    assert interpreter.predict(silence).score == pytest.approx(0.0, abs=1e-3)
    results = interpreter.predict_clip(audio)
    assert [item.end_s for result in results for item in result.detections] == pytest.approx([2.32], abs=0.09)


def test_a_microphone_has_its_own_rate(tiny_path: Path) -> None:
    interpreter = NanoInterpreter.load_model(tiny_path, sample_rate_hz=48_000)
    with pytest.raises(ConfigError, match="converts its audio itself"):
        interpreter.listen()
