from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.denoise import DELAY_SAMPLES, Denoiser
from nanowakeword.errors import ConfigError
from nanowakeword.timing import HOP_SAMPLES

LEVELS = (1, 2, 3, 4)
SETTLED = 25 * HOP_SAMPLES  # 2 s


def noise(hops: int, *, rms: float = 500.0, seed: int = 0) -> Samples:
    return np.rint(np.random.default_rng(seed).normal(scale=rms, size=hops * HOP_SAMPLES)).astype(np.int16)


def level_db(audio: Samples) -> float:
    return 10 * float(np.log10(np.mean(np.square(audio.astype(np.float64))) + 1e-9))


@pytest.fixture(scope="session")
def phrase(real_data: Path) -> Samples:
    samples = read_audio(real_data / "keywords" / "alexa" / "1.flac")
    return samples[: len(samples) - len(samples) % HOP_SAMPLES]


def test_as_much_comes_out_as_goes_in() -> None:
    denoiser = Denoiser()
    for hops in (0, 1, 3):
        out = denoiser.feed(noise(hops))
        assert out.dtype == np.int16
        assert out.shape == (hops * HOP_SAMPLES,)
        assert out.flags.writeable


@pytest.mark.parametrize(("level", "least_db"), [(1, 5.0), (2, 10.0), (3, 15.0), (4, 18.0)])
def test_steady_noise_falls(level: int, least_db: float) -> None:
    audio = noise(100)
    assert level_db(audio[SETTLED:]) - level_db(Denoiser(level=level).feed(audio)[SETTLED:]) >= least_db


@pytest.mark.parametrize("level", LEVELS)
def test_speech_keeps_its_level(level: int, phrase: Samples) -> None:
    quiet_room = noise(60, rms=5.0)
    room = quiet_room.copy()
    room[SETTLED : SETTLED + len(phrase)] += phrase[: len(room) - SETTLED]
    out = Denoiser(level=level).feed(room)
    part = slice(SETTLED, SETTLED + len(phrase))
    assert abs(level_db(out[part]) - level_db(room[part])) < 3.0


def test_the_delay_is_what_is_said(phrase: Samples) -> None:
    quiet = np.concatenate([np.zeros(SETTLED, np.int16), phrase])
    before, after = quiet.astype(np.float64), Denoiser().feed(quiet).astype(np.float64)
    n = 2 * len(before)
    correlation = np.fft.irfft(np.fft.rfft(after, n) * np.conj(np.fft.rfft(before, n)), n)
    assert correlation.argmax() == DELAY_SAMPLES


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 30), max_size=6), seed=st.integers(0, 1_000), level=st.sampled_from(LEVELS))
def test_how_the_hops_are_cut_changes_nothing(cuts: list[int], seed: int, level: int) -> None:
    audio = noise(30, rms=3_000.0, seed=seed)
    pieces = np.split(audio, [cut * HOP_SAMPLES for cut in sorted(cuts)])
    denoiser = Denoiser(level=level)
    whole = Denoiser(level=level).feed(audio)
    np.testing.assert_array_equal(np.concatenate([denoiser.feed(piece) for piece in pieces]), whole)


def test_after_reset_it_is_as_new() -> None:
    first = Denoiser().feed(noise(20))
    denoiser = Denoiser()
    denoiser.feed(noise(40, rms=8_000.0, seed=1))
    for _ in range(2):
        denoiser.reset()
        np.testing.assert_array_equal(denoiser.feed(noise(20)), first)


def test_two_streams_do_not_meet() -> None:
    alone = Denoiser().feed(noise(20))
    one, other = Denoiser(), Denoiser()
    parts = []
    for hop in noise(20).reshape(-1, HOP_SAMPLES):
        parts.append(one.feed(hop))
        other.feed(noise(1, rms=8_000.0))
    np.testing.assert_array_equal(np.concatenate(parts), alone)


def test_reset_costs_nothing() -> None:
    denoiser = Denoiser()
    taken = []
    for _ in range(20):
        denoiser.feed(noise(1))
        started = time.perf_counter()
        denoiser.reset()
        taken.append(time.perf_counter() - started)
    assert np.median(taken) < 10e-6


def test_the_audio_that_is_fed_is_left_alone() -> None:
    audio = noise(5)
    Denoiser().feed(audio)
    np.testing.assert_array_equal(audio, noise(5))


@pytest.mark.parametrize("level", [0, 5, -1, None])
def test_what_cannot_be_is_refused(level: int) -> None:
    with pytest.raises(ConfigError, match="1, 2, 3 or 4"):
        Denoiser(level=level)


def test_a_missing_package_is_named() -> None:
    code = "import sys; sys.modules['webrtc_noise_gain'] = None\nfrom nanowakeword.denoise import Denoiser\n"
    code += "try: Denoiser()\nexcept Exception as error: print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("DependencyError ")
    assert 'pip install "nanowakeword[denoise]"' in done.stdout
