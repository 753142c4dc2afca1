"""Every augmentation keeps the promises of the table, and does what its name says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steps.augmentations import (
    band,
    clipping,
    codec,
    context,
    eq,
    gate,
    level,
    microphone,
    noise,
    pitch,
    room,
    speed,
    take,
    tempo,
    tract,
)
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import ClipPack, write_clips
from steps.decibels import Audio, active_rms, gain
from steps.rooms import RESPONSE_SAMPLES, Rooms, draw_room, simulate_room
from steps.scene import Scene
from steps.settings import Shares
from steps.sources import Sources
from tests.steps.toy import clips, tone

N = 24_000
START, END = 8_000, 19_000
SEEDS = range(8)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A word amid clips of tones, and a bank of two rooms."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, clips())
    bank = [draw_room(np.random.default_rng(number)) for number in range(2)]
    return Scene(
        n_samples=N,
        word_start=START,
        word_end=END,
        clip=0,
        has_voice=True,
        snr_db=(0.0, 20.0),
        sources=Sources(ClipPack(folder), split="train", recordings=(), phrase="hey nano"),
        rooms=Rooms(bank, np.stack([simulate_room(**parameters) for parameters in bank])),
    )


def word(*, voiced: bool = True) -> Audio:
    """A steady voice-like glide with overtones, or hiss, silent before and after."""
    time = np.arange(END - START) / 16_000
    phase = 2.0 * np.pi * (110.0 * time + 60.0 * time**2)
    glide = sum(np.sin(k * phase) / k for k in range(1, 20))
    audio = np.zeros(N, np.float32)
    audio[START:END] = 0.2 * (glide if voiced else np.random.default_rng(0).standard_normal(len(time)))
    return audio


def apply(name: str, seed: int, scene: Scene, *, voiced: bool = True) -> Audio:
    parameters = AUGMENTATIONS[name].draw(np.random.default_rng(seed), scene)
    return AUGMENTATIONS[name].apply(word(voiced=voiced), scene, **parameters)


def test_every_file_is_in_the_table_and_has_a_share() -> None:
    files = {path.stem for path in Path(room.__file__).parent.glob("*.py")} - {"__init__", "table"}
    assert files == set(AUGMENTATIONS)
    assert list(Shares.model_fields) == list(AUGMENTATIONS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestConformance:
    def test_shape_type_and_range(self, name: str, seed: int, scene: Scene) -> None:
        audio = apply(name, seed, scene)
        assert audio.dtype == np.float32
        assert audio.ndim == 1
        assert np.isfinite(audio).all()

    def test_the_length_is_the_one_foretold(self, name: str, seed: int, scene: Scene) -> None:
        row = AUGMENTATIONS[name]
        parameters = row.draw(np.random.default_rng(seed), scene)
        # A voice may be of any length, a window is of 1.6 s or more.
        for n_samples in (0, 7, 1_023, 5_001, N) if row.of == "voice" else (25_600, 30_011):
            audio = row.apply(tone(2.0)[:n_samples], scene, **parameters)
            assert len(audio) == (row.length(n_samples, **parameters) if row.length else n_samples)

    def test_a_recipe_is_all_it_takes(self, name: str, seed: int, scene: Scene) -> None:
        """The parameters, written and read, give the same samples, whatever else is random."""
        row = AUGMENTATIONS[name]
        parameters = row.draw(np.random.default_rng(seed), scene)
        read = json.loads(json.dumps(parameters))
        assert read == parameters
        assert np.array_equal(row.apply(word(), scene, **parameters), row.apply(word(), scene, **read))

    def test_the_input_is_left_alone(self, name: str, seed: int, scene: Scene) -> None:
        audio = word()
        changed = AUGMENTATIONS[name].apply(
            audio, scene, **AUGMENTATIONS[name].draw(np.random.default_rng(seed), scene)
        )
        changed += 1.0
        assert np.array_equal(audio, word())

    def test_it_is_told_in_a_line(self, name: str, seed: int, scene: Scene) -> None:
        told = AUGMENTATIONS[name].tell(**AUGMENTATIONS[name].draw(np.random.default_rng(seed), scene))
        assert 0 < len(told) < 200
        assert "\n" not in told
        assert told == told.strip()

    def test_silence_is_no_problem(self, name: str, seed: int, scene: Scene) -> None:
        parameters = AUGMENTATIONS[name].draw(np.random.default_rng(seed), scene)
        audio = AUGMENTATIONS[name].apply(np.zeros(N, np.float32), scene, **parameters)
        assert np.isfinite(audio).all()


# A codec does not keep hiss, nor does what moves a voice's pitch; a room's echoes correlate with a voice.
VOICED = {"codec"}
MOVED = {"speed", "tempo", "pitch", "tract"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name not in MOVED])
def test_the_word_stays_whole_and_in_place(name: str, seed: int, scene: Scene) -> None:
    voiced = name in VOICED
    audio, original = apply(name, seed, scene, voiced=voiced), word(voiced=voiced)
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


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", sorted(MOVED))
def test_a_moved_voice_begins_and_ends_where_it_should(name: str, seed: int, scene: Scene) -> None:
    """Each tenth of the word still sounds, up to its edges, and nothing sounds outside."""
    row = AUGMENTATIONS[name]
    parameters = row.draw(np.random.default_rng(seed), scene)
    audio = row.apply(word(), scene, **parameters)
    first, end = (row.length(place, **parameters) if row.length else place for place in (START, END))
    middle = float(np.sqrt(np.mean(audio[first:end] ** 2)))
    for start, stop in itertools.pairwise(np.linspace(first, end, 11).astype(int)):
        assert float(np.sqrt(np.mean(audio[start:stop] ** 2))) > 0.4 * middle
    # A phase vocoder smears over its transform's length.
    assert float(np.sqrt(np.mean(audio[: first - 1_100] ** 2))) < 0.01 * middle
    assert float(np.sqrt(np.mean(audio[end + 1_100 :] ** 2))) < 0.01 * middle


def vowel(pitch_hz: float = 120.0, *, formants_hz: Sequence[float] = (700.0, 1_220.0, 2_600.0)) -> Audio:
    """A second of a steady vowel: harmonics under an envelope."""
    time = np.arange(16_000) / 16_000
    orders = np.arange(1, int(7_000 / pitch_hz))
    apart_hz = orders[:, None] * pitch_hz - np.array(formants_hz)
    peaks = np.sum(1.0 / (1.0 + (apart_hz / 90.0) ** 2), axis=1)
    audio = 0.05 * peaks @ np.sin(2.0 * np.pi * pitch_hz * np.outer(orders, time))
    return np.asarray(audio, np.float32)


def pitch_of(audio: Audio) -> float:
    """Pitch by autocorrelation, in Hz."""
    spectrum = np.abs(np.fft.rfft(audio[4_000:12_000], 32_768)) ** 2
    correlation = np.fft.irfft(spectrum)
    lags = np.arange(16_000 // 300, 16_000 // 70)
    return float(16_000 / lags[correlation[lags].argmax()])


def formant_of(audio: Audio, *, near_hz: float) -> float:
    """Centre of the energy within 25 % of a frequency, in Hz."""
    power = np.abs(np.fft.rfft(audio[4_000:12_000] * np.hanning(8_000))) ** 2
    hertz = np.fft.rfftfreq(8_000, 1 / 16_000)
    inside = (hertz > 0.75 * near_hz) & (hertz < 1.25 * near_hz)
    return float((power * hertz)[inside].sum() / power[inside].sum())


def test_speed_moves_length_pitch_and_formants(scene: Scene) -> None:
    faster = speed.apply(tone(1.0, 1_000.0), scene, factor=1.1)
    assert len(faster) == round(16_000 / 1.1)
    assert np.abs(np.fft.rfft(faster, 16_000)).argmax() == pytest.approx(1_100, abs=3)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_tempo_moves_length_alone(factor: float, scene: Scene) -> None:
    audio = tempo.apply(vowel(), scene, factor=factor)
    assert len(audio) == round(16_000 / factor)
    assert pitch_of(audio) == pytest.approx(120.0, rel=0.02)
    assert formant_of(audio, near_hz=2_600.0) == pytest.approx(formant_of(vowel(), near_hz=2_600.0), rel=0.02)


@pytest.mark.parametrize("semitones", [-3.0, 2.5])
def test_pitch_moves_pitch_alone(semitones: float, scene: Scene) -> None:
    audio = pitch.apply(vowel(), scene, semitones=semitones)
    assert pitch_of(audio) == pytest.approx(120.0 * 2 ** (semitones / 12), rel=0.02)
    assert formant_of(audio, near_hz=2_600.0) == pytest.approx(formant_of(vowel(), near_hz=2_600.0), rel=0.03)


@pytest.mark.parametrize("factor", [0.9, 1.12])
def test_tract_moves_formants_alone(factor: float, scene: Scene) -> None:
    audio = tract.apply(vowel(), scene, factor=factor)
    assert pitch_of(audio) == pytest.approx(120.0, rel=0.01)
    moved = formant_of(audio, near_hz=2_600.0 * factor) / formant_of(vowel(), near_hz=2_600.0)
    assert moved == pytest.approx(factor, rel=0.03)
    assert np.allclose(tract.apply(vowel(), scene, factor=1.0), vowel(), atol=1e-4)


@pytest.mark.parametrize("number", range(6))
def test_rooms_start_with_the_direct_sound_and_ring_as_long_as_told(number: int) -> None:
    parameters = draw_room(np.random.default_rng(number))
    response = simulate_room(**parameters)
    assert np.array_equal(response, simulate_room(**parameters))
    assert response.shape == (RESPONSE_SAMPLES,)
    impulse = np.zeros(N, np.float32)
    impulse[1_000] = 1.0
    heard = room.convolve(impulse, response, lead=20)
    assert np.abs(heard[:970]).max() < 1e-5
    assert abs(heard[1_000]) == pytest.approx(1.0, abs=1e-4)
    left = np.cumsum(heard[::-1].astype(np.float64) ** 2)[::-1]
    falling = 10.0 * np.log10(left[1_000:] / left[1_000] + 1e-12)
    # From -5 to -25 dB, times three: T20 of ISO 3382.
    measured_s = 3.0 * (np.argmax(falling < -25.0) - np.argmax(falling < -5.0)) / 16_000
    assert measured_s == pytest.approx(parameters["rt60_s"], rel=0.3)


def test_a_bank_gives_what_would_be_simulated() -> None:
    bank = [draw_room(np.random.default_rng(number)) for number in range(3)]
    responses = np.arange(3, dtype=np.float32)[:, None] * np.ones(RESPONSE_SAMPLES, np.float32)
    rooms = Rooms(bank, responses)
    drawn = [rooms.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert {room["seed"] for room in drawn} == {room["seed"] for room in bank}
    assert rooms.response(bank[2])[0] == 2.0
    # Another room is not in it, not even one of the same seed.
    other = {**bank[2], "rt60_s": 0.15}
    assert np.array_equal(rooms.response(other), simulate_room(**other))


def test_a_measured_response_is_aligned_to_its_direct_sound() -> None:
    response = np.array([0.0, 0.01, -0.5, 0.2, 0.1], np.float32)
    assert room.direct_first(response).tolist() == pytest.approx([-1.0, 0.4, 0.2])


def gains_of(effect: Any, scene: Scene, **parameters: Any) -> Any:
    """Gain of an effect at each whole Hz, by what it does to white noise."""
    white = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    ratio = np.abs(np.fft.rfft(effect.apply(white, scene, **parameters))) / np.abs(np.fft.rfft(white))
    return lambda low, high: float(np.median(ratio[low:high]))


def test_eq_follows_its_points(scene: Scene) -> None:
    gains_db = [-6.0] * 4 + [6.0] * 5
    at = gains_of(eq, scene, gains_db=gains_db)
    assert at(80, 400) == pytest.approx(gain(-6.0), rel=0.05)
    assert at(1_500, 7_000) == pytest.approx(gain(6.0), rel=0.05)
    # Points lie 0.88 octaves apart: the fifth is at 693 Hz, and half way to it from the fourth is 510 Hz.
    peak = gains_of(eq, scene, gains_db=[0.0] * 4 + [12.0] + [0.0] * 4)
    assert peak(688, 698) == pytest.approx(gain(12.0), rel=0.05)
    assert peak(505, 515) == pytest.approx(gain(6.0), rel=0.05)


def test_band_takes_bass_and_treble(scene: Scene) -> None:
    at = gains_of(band, scene, low_hz=300.0, high_hz=4_000.0)
    assert at(500, 3_500) == pytest.approx(1.0, rel=0.02)
    assert at(60, 80) < gain(-40.0)
    assert at(7_000, 8_000) < gain(-40.0)
    lost = [band.draw(np.random.default_rng(seed), scene) for seed in range(200)]
    assert {(item["low_hz"] > 0.0, item["high_hz"] < 8_000.0) for item in lost} == {
        (True, False),
        (False, True),
        (True, True),
    }


def test_microphone_has_a_high_pass_a_peak_and_a_comb(scene: Scene) -> None:
    ear = {"high_pass_hz": 150.0, "resonance_hz": 4_000.0, "resonance_db": 9.0, "sharpness": 4.0, "echo_db": -6.0}
    at = gains_of(microphone, scene, **ear, echo_ms=0.0)
    assert at(140, 160) == pytest.approx(gain(-3.0), rel=0.1)
    assert at(3_950, 4_050) == pytest.approx(gain(9.0), rel=0.1)
    assert at(1_000, 2_000) == pytest.approx(1.0, rel=0.1)
    # An echo 1 ms later: louder at whole kHz, quieter between them.
    combed = gains_of(microphone, scene, **ear, echo_ms=1.0)
    assert combed(1_990, 2_010) / at(1_990, 2_010) == pytest.approx(1.5, rel=0.1)
    assert combed(1_490, 1_510) / at(1_490, 1_510) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("kind", noise.KINDS)
def test_noise_has_the_level_it_should(kind: str, scene: Scene) -> None:
    said = [{"clip": 8, "start": 0}, {"clip": 9, "start": 0}]
    voices = [said[:1], said[1:]] if kind == "babble" else []
    for seed in SEEDS:
        made = noise.make(N, np.random.default_rng(seed), kind=kind, sounds=[tone(N / 16_000, 300.0)])
        assert np.sqrt(np.mean(made**2)) == pytest.approx(1.0, rel=1e-3)
        added = noise.apply(word(), scene, kind=kind, snr_db=10.0, seed=seed, voices=voices) - word()
        snr_db = 20.0 * np.log10(active_rms(word()) / np.sqrt(np.mean(added**2)))
        # Clicks are held back where they would drown the voice.
        assert snr_db == pytest.approx(10.0, abs=0.1) or (kind == "clicks" and snr_db > 10.0)


def test_noise_is_drawn_from_all_kinds_that_can_be_had(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    drawn = [noise.draw(rng, scene) for _ in range(300)]
    assert {item["kind"] for item in drawn} == set(noise.KINDS) - {"recording"}
    assert {len(item["voices"]) for item in drawn if item["kind"] == "babble"} == set(range(2, 9))
    assert all(0.0 <= item["snr_db"] <= 20.0 for item in drawn)
    voiceless = replace(scene, has_voice=False)
    assert "babble" not in {noise.draw(rng, voiceless)["kind"] for _ in range(100)}


def test_context_is_heard_beside_the_word_and_not_in_it(scene: Scene) -> None:
    drawn = [context.draw(np.random.default_rng(seed), scene)["speech"] for seed in range(60)]
    assert {len(speech) for speech in drawn} >= {1, 2}
    for speech in drawn:
        audio = context.apply(word(), scene, speech=speech)
        assert np.array_equal(audio[START:END], word()[START:END])
        for clip in speech:
            assert clip["start"] >= END or clip["start"] + scene.sources.clip_samples(clip["clip"]) <= START
    beside = np.concatenate([context.apply(word(), scene, speech=speech) for speech in drawn])
    assert active_rms(beside) == pytest.approx(active_rms(word()), rel=0.6)


def test_gate_silences_what_is_quiet_and_only_that(scene: Scene) -> None:
    audio = word() + (np.random.default_rng(0).standard_normal(N) * 1e-5).astype(np.float32)
    gated = gate.apply(audio, scene, threshold_db=-45.0, hold_ms=100)
    assert np.abs(gated[: START - 1_000]).max() < 1e-7
    assert np.array_equal(gated[START:END], audio[START:END])


def test_level_sets_peak_and_floor(scene: Scene) -> None:
    audio = level.apply(word(), scene, peak_db=-12.0, floor_db=-70.0, floor_db_per_octave=-3.0, seed=1)
    assert np.abs(audio).max() == pytest.approx(gain(-12.0), rel=0.01)
    assert 20.0 * np.log10(np.sqrt(np.mean(audio[:START] ** 2))) == pytest.approx(-70.0, abs=1.5)
    drawn = [level.draw(np.random.default_rng(seed), scene) for seed in range(400)]
    peaks, floors = ([item[key] for item in drawn] for key in ("peak_db", "floor_db"))
    assert min(peaks) < -45.0
    assert max(peaks) > -3.0
    assert min(floors) < -88.0 < max(floors)


def test_clipping_is_flat_at_the_top(scene: Scene) -> None:
    clipped = clipping.apply(word(), scene, overdrive_db=6.0)
    ceiling = np.abs(word()).max() * gain(-6.0)
    assert np.abs(clipped).max() == pytest.approx(ceiling, rel=1e-4)
    assert np.mean(np.abs(clipped) > 0.999 * ceiling) > 0.001


@pytest.mark.parametrize("kind", ["opus", "telephone", "mu_law"])
def test_codecs_change_speech_but_not_much(kind: str, scene: Scene) -> None:
    decoded = codec.apply(word(), scene, kind=kind, kbit_per_s=24.0)
    error = decoded[START:END] - word()[START:END]
    snr_db = 20.0 * np.log10(np.std(word()[START:END]) / np.std(error))
    assert 3.0 < snr_db < 60.0


def test_take_is_digital_silence_outside(scene: Scene) -> None:
    audio = take.apply(np.ones(100, np.float32), scene, start=20, end=90)
    assert audio.tolist() == [0.0] * 20 + [1.0] * 70 + [0.0] * 10


def test_take_never_draws_into_the_word(scene: Scene) -> None:
    for seed in range(200):
        drawn = take.draw(np.random.default_rng(seed), scene)
        assert drawn["start"] <= START - 800
        assert drawn["end"] >= END + 800
    # Words at the very edges.
    whole = replace(scene, word_start=0, word_end=N)
    assert take.draw(np.random.default_rng(0), whole) == {"start": 0, "end": N}
