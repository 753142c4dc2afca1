"""Every augmentation keeps the promises of the table, and does what its name says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steps.augmentations import codec, eq, gate, level, noise, room, speed, take
from steps.augmentations.table import AUGMENTATIONS
from steps.decibels import Audio, active_rms, gain
from tests.steps.toy import tone

N = 24_000
START, END = 8_000, 19_000
SEEDS = range(8)


def word(*, voiced: bool = True) -> Audio:
    """A steady voice-like glide with overtones, or hiss, silent before and after."""
    time = np.arange(END - START) / 16_000
    phase = 2.0 * np.pi * (110.0 * time + 60.0 * time**2)
    glide = sum(np.sin(k * phase) / k for k in range(1, 20))
    audio = np.zeros(N, np.float32)
    audio[START:END] = 0.2 * (glide if voiced else np.random.default_rng(0).standard_normal(len(time)))
    return audio


def draw(name: str, rng: np.random.Generator) -> dict[str, Any]:
    place = {"n_samples": N, "word_start": START, "word_end": END} if name == "take" else {}
    return AUGMENTATIONS[name].draw(rng, **place)


def inputs(parameters: dict[str, Any]) -> dict[str, Any]:
    """What the noise needs besides its parameters."""
    sounds = [tone(N / 16_000, 300.0), tone(N / 16_000, 430.0)]
    return {"sounds": sounds} if parameters.get("kind") in {"babble", "recording"} else {}


def apply(name: str, seed: int, *, voiced: bool = True) -> Audio:
    rng = np.random.default_rng([seed, 1])
    parameters = draw(name, rng)
    return AUGMENTATIONS[name].apply(word(voiced=voiced), rng, **parameters, **inputs(parameters))


def test_every_file_is_in_the_table() -> None:
    files = {path.stem for path in Path(room.__file__).parent.glob("*.py")} - {"__init__", "table"}
    assert files == set(AUGMENTATIONS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestConformance:
    def test_shape_type_and_range(self, name: str, seed: int) -> None:
        audio = apply(name, seed)
        assert audio.dtype == np.float32
        assert audio.ndim == 1
        assert np.isfinite(audio).all()
        if AUGMENTATIONS[name].keeps_time:
            assert len(audio) == N

    def test_equal_generators_give_equal_samples(self, name: str, seed: int) -> None:
        assert np.array_equal(apply(name, seed), apply(name, seed))

    def test_the_input_is_left_alone(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        audio = word()
        parameters = draw(name, rng)
        AUGMENTATIONS[name].apply(audio, rng, **parameters, **inputs(parameters))
        assert np.array_equal(audio, word())

    def test_parameters_are_a_recipe(self, name: str, seed: int) -> None:
        parameters = draw(name, np.random.default_rng(seed))
        assert json.loads(json.dumps(parameters)) == parameters

    def test_silence_is_no_problem(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        parameters = draw(name, rng)
        audio = AUGMENTATIONS[name].apply(np.zeros(N, np.float32), rng, **parameters, **inputs(parameters))
        assert np.isfinite(audio).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name, row in AUGMENTATIONS.items() if row.keeps_time])
def test_the_word_stays_whole_and_in_place(name: str, seed: int) -> None:
    # A room's echoes correlate with a voice; a low-rate codec does not keep hiss.
    voiced = name == "codec"
    audio, original = apply(name, seed, voiced=voiced), word(voiced=voiced)
    lags = range(-400, 401)
    match = np.abs([float(np.dot(original[START:END], audio[START + lag : END + lag])) for lag in lags])
    here = slice(lags.index(-2), lags.index(2) + 1)
    assert match[here].max() > match[: here.start].max()
    # Two walls' echoes that arrive together may be louder than a far voice itself, never earlier.
    assert match[here].max() > (0.5 if name == "room" else 1.0) * match[here.stop :].max()
    # Each tenth of the word is still there, whatever was added.
    edges = np.linspace(START, END, 11).astype(int)
    for first, end in itertools.pairwise(edges):
        a, b = original[first:end], audio[first:end]
        assert float(np.dot(a, b)) / float(np.sqrt(np.dot(a, a) * np.dot(b, b)) + 1e-12) > 0.1


def test_speed_scales_length_and_pitch() -> None:
    faster = speed.apply(tone(1.0, 1_000.0), np.random.default_rng(0), factor=1.1)
    assert len(faster) == pytest.approx(16_000 / 1.1, abs=2)
    assert np.abs(np.fft.rfft(faster, 16_000)).argmax() == pytest.approx(1_100, abs=3)


def test_room_starts_with_the_direct_sound_and_rings_as_long_as_told() -> None:
    rng = np.random.default_rng(3)
    impulse = np.zeros(16_000, np.float32)
    impulse[1_000] = 1.0
    for rt60_s in (0.2, 0.7):
        parameters = {**room.draw(rng), "rt60_s": rt60_s, "treble_rt60_s": rt60_s}
        response = room.apply(impulse, rng, **parameters)
        assert np.abs(response[:1_000]).max() < 1e-5
        assert response[1_000] == pytest.approx(1.0, abs=1e-4)
        left = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
        falling = 10.0 * np.log10(left[1_000:] / left[1_000])
        # From -5 to -25 dB, times three: T20 of ISO 3382.
        measured_s = 3.0 * (np.argmax(falling < -25.0) - np.argmax(falling < -5.0)) / 16_000
        assert measured_s == pytest.approx(rt60_s, rel=0.35)


def test_a_measured_response_is_aligned_to_its_direct_sound() -> None:
    response = np.array([0.0, 0.01, -0.5, 0.2, 0.1], np.float32)
    assert room.direct_first(response).tolist() == pytest.approx([-1.0, 0.4, 0.2])


def test_eq_follows_its_points_and_limits() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(32_000).astype(np.float32)
    shaped = eq.apply(white, rng, gains_db=[6.0] * 9, low_hz=0.0, high_hz=4_000.0)
    ratio = np.abs(np.fft.rfft(shaped)) / np.abs(np.fft.rfft(white))
    hertz = np.fft.rfftfreq(32_000, 1 / 16_000)
    assert np.median(ratio[(hertz > 500) & (hertz < 3_500)]) == pytest.approx(gain(6.0), rel=0.02)
    assert np.median(ratio[hertz > 7_000]) < gain(-40.0)


@pytest.mark.parametrize("kind", noise.KINDS)
def test_noise_has_the_level_it_should(kind: str) -> None:
    sounds = [tone(N / 16_000, 300.0)]
    for seed in SEEDS:
        made = noise.make(N, np.random.default_rng(seed), kind=kind, sounds=sounds)
        assert np.sqrt(np.mean(made**2)) == pytest.approx(1.0, rel=1e-3)
        added = noise.apply(word(), np.random.default_rng(seed), kind=kind, snr_db=10.0, sounds=sounds) - word()
        snr_db = 20.0 * np.log10(active_rms(word()) / np.sqrt(np.mean(added**2)))
        # Clicks are held back where they would drown the voice.
        assert snr_db == pytest.approx(10.0, abs=0.1) or (kind == "clicks" and snr_db > 10.0)


def test_noise_is_drawn_from_all_kinds_that_can_be_had() -> None:
    rng = np.random.default_rng(0)
    without = {noise.draw(rng)["kind"] for _ in range(300)}
    assert without == set(noise.KINDS) - {"recording"}
    assert {noise.draw(rng, recordings=True)["kind"] for _ in range(300)} == set(noise.KINDS)


def test_gate_silences_what_is_quiet_and_only_that() -> None:
    audio = word() + (np.random.default_rng(0).standard_normal(N) * 1e-5).astype(np.float32)
    gated = gate.apply(audio, np.random.default_rng(0), threshold_db=-45.0, hold_ms=100)
    assert np.abs(gated[: START - 1_000]).max() < 1e-7
    assert np.array_equal(gated[START:END], audio[START:END])


def test_level_sets_peak_floor_and_clipping() -> None:
    rng = np.random.default_rng(0)
    common = {"floor_db": -70.0, "floor_db_per_octave": -3.0}
    audio = level.apply(word(), rng, peak_db=-12.0, overdrive_db=0.0, **common)
    assert np.abs(audio).max() == pytest.approx(gain(-12.0), rel=0.01)
    assert 20.0 * np.log10(np.sqrt(np.mean(audio[:START] ** 2))) == pytest.approx(-70.0, abs=1.5)
    clipped = level.apply(word(), rng, peak_db=-12.0, overdrive_db=6.0, **common)
    assert np.mean(np.abs(clipped) == np.float32(gain(-12.0))) > 0.001


@pytest.mark.parametrize("kind", ["opus", "telephone", "mu_law"])
def test_codecs_change_speech_but_not_much(kind: str) -> None:
    decoded = codec.apply(word(), np.random.default_rng(0), kind=kind, kbit_per_s=24.0)
    error = decoded[START:END] - word()[START:END]
    snr_db = 20.0 * np.log10(np.std(word()[START:END]) / np.std(error))
    assert 3.0 < snr_db < 60.0


def test_take_is_digital_silence_outside() -> None:
    audio = take.apply(np.ones(100, np.float32), np.random.default_rng(0), start=20, end=90)
    assert audio.tolist() == [0.0] * 20 + [1.0] * 70 + [0.0] * 10


def test_take_never_draws_into_the_word() -> None:
    for seed in range(200):
        drawn = take.draw(np.random.default_rng(seed), n_samples=N, word_start=START, word_end=END)
        assert drawn["start"] <= START - 800
        assert drawn["end"] >= END + 800
    # Words at the very edges.
    assert take.draw(np.random.default_rng(0), n_samples=N, word_start=0, word_end=N)["start"] == 0
