"""What else sounds in a room: wind and traffic, hum, clicks, music, other people talking, recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from scipy import fft

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.decibels import Audio, active_rms, gain
from steps.scene import Scene
from steps.sources import Sound

__all__ = ["KINDS", "apply", "draw", "make", "slope_noise", "tell"]

KINDS: Final = ("coloured", "hum", "clicks", "chords", "babble", "recording")
# Babble is the hardest and the most frequent in homes.
_SHARES: Final = {"coloured": 0.35, "hum": 0.1, "clicks": 0.1, "chords": 0.1, "babble": 0.35}
_RECORDING_SHARE: Final = 0.4
_VOICES: Final = (2, 8)
# A click may be as loud as a voice, not drown it: peaks, not energy, are what a microphone adapts to.
_LOUDEST_PEAK_DB: Final = 6.0
_QUIET_REFERENCE: Final = 0.1
_FALL_DB_PER_OCTAVE: Final = (-2.0, 8.0)
_SWELLING_SHARE: Final = 0.3
_DB_PER_POWER: Final = 20.0 * float(np.log10(2.0))  # an amplitude that doubles in each octave rises by 6 dB


def draw(rng: np.random.Generator, scene: Scene) -> dict[str, Any]:
    """Parameters: ``kind``, ``snr_db`` and ``seed``, of babble its ``voices``, of a recording its ``excerpt``."""
    kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
    if scene.sources.recordings("noise") and rng.random() < _RECORDING_SHARE:
        kind = "recording"
    if kind == "babble" and not scene.has_voice:
        kind = "coloured"
    drawn: dict[str, Any] = {
        "kind": kind,
        "snr_db": round(float(rng.uniform(*scene.snr_db)), 2),
        "seed": int(rng.integers(2**31)),
    }
    if kind == "babble":
        n_voices = int(rng.integers(_VOICES[0], _VOICES[1] + 1))
        drawn["voices"] = [scene.sources.talk(rng, n_samples=scene.n_samples) for _ in range(n_voices)]
    elif kind == "recording":
        drawn["excerpt"] = scene.sources.excerpt("noise", rng, n_samples=scene.n_samples)
    return drawn


def apply(
    audio: Audio,
    scene: Scene,
    *,
    kind: str,
    snr_db: float,
    seed: int,
    voices: Sequence[Sequence[Sound]] = (),
    excerpt: Sound | None = None,
) -> Audio:
    """Add noise to audio ``[n]``.

    Args:
        audio: what is heard above the noise; silence gets noise at a middling level.
        scene: gives the sounds.
        kind: one of `KINDS`.
        snr_db: level of the signal, where it sounds, above the noise.
        seed: of what is made.
        voices: what each voice of babble says.
        excerpt: of a recording.
    """
    said = voices or ([[excerpt]] if excerpt else [])
    sounds = [scene.sources.canvas(voice, n_samples=len(audio)) for voice in said]
    noise = make(len(audio), np.random.default_rng(seed), kind=kind, sounds=sounds)
    reference = active_rms(audio) or _QUIET_REFERENCE
    scale = reference / gain(snr_db)
    loudest = max(float(np.abs(audio).max(initial=0.0)), reference) * gain(_LOUDEST_PEAK_DB)
    scale = min(scale, loudest / max(float(np.abs(noise).max()), 1e-9))
    return audio + noise * np.float32(scale)


def tell(
    *,
    kind: str,
    snr_db: float,
    seed: int,  # noqa: ARG001 - of the signature of `apply`
    voices: Sequence[Sequence[Sound]] = (),
    excerpt: Sound | None = None,
) -> str:
    """In words."""
    what = {"coloured": "coloured noise", "babble": f"babble of {len(voices)} voices"}.get(kind, kind)
    if excerpt:
        what = f"{excerpt['recording']} from {excerpt['from_s']:.1f} s"
    return f"in {what} at {snr_db:.0f} dB"


def make(n_samples: int, rng: np.random.Generator, *, kind: str, sounds: Sequence[Audio] = ()) -> Audio:
    """Noise of one kind, ``[n_samples]``, with a root mean square of 1.

    Args:
        n_samples: length.
        rng: source of randomness.
        kind: one of `KINDS`; babble and recordings fall back to coloured noise if there are no sounds.
        sounds: each ``[n_samples]``.
    """
    if kind in {"babble", "recording"}:
        noise = _mixed(sounds, rng) if len(sounds) else _coloured(n_samples, rng)
    else:
        noise = _MAKERS[kind](n_samples, rng)
    rms = float(np.sqrt(np.square(noise, dtype=np.float64).mean()))
    return np.asarray(noise / max(rms, 1e-9), np.float32)


def slope_noise(n_samples: int, rng: np.random.Generator, *, db_per_octave: float) -> Audio:
    """Gaussian noise ``[n_samples]`` with a sloping spectrum: 0 white, -3 pink, -6 brown; at no particular level."""
    size = fft.next_fast_len(n_samples, real=True)
    # Flat below 30 Hz, or brown noise would be little but drift.
    hertz = np.maximum(np.arange(size // 2 + 1, dtype=np.float32) * np.float32(SAMPLE_RATE_HZ / size), 30.0)
    spectrum = rng.standard_normal((2, len(hertz)), dtype=np.float32) * hertz ** np.float32(
        db_per_octave / _DB_PER_POWER
    )
    return np.asarray(fft.irfft(spectrum[0] + 1j * spectrum[1], size)[:n_samples], np.float32)


def _mixed(sounds: Sequence[Audio], rng: np.random.Generator) -> Audio:
    """People at different distances."""
    levels = [gain(rng.uniform(-6.0, 6.0)) / max(active_rms(sound), 1e-9) for sound in sounds]
    return np.asarray(np.array(levels, np.float32) @ np.stack(sounds), np.float32)


def _coloured(n_samples: int, rng: np.random.Generator) -> Audio:
    """Power falling by 0 to 8 dB an octave, sometimes rising, sometimes swelling: fans, rain, traffic, wind."""
    noise = slope_noise(n_samples, rng, db_per_octave=-float(rng.uniform(*_FALL_DB_PER_OCTAVE)))
    if rng.random() < _SWELLING_SHARE:
        points = rng.uniform(0.2, 1.0, 8)
        noise *= np.interp(np.arange(n_samples), np.linspace(0, n_samples, len(points)), points)
    return noise


def _hum(n_samples: int, rng: np.random.Generator) -> Audio:
    """Mains or a motor: a tone and its harmonics, over a quiet hiss."""
    base_hz = float(rng.choice([50.0, 60.0, rng.uniform(70.0, 240.0)]))
    orders = np.arange(1, int(rng.integers(4, 16)))
    levels = rng.uniform(0.1, 1.0, len(orders)) / orders ** rng.uniform(0.3, 1.5)
    return _tones(n_samples, rng, frequencies_hz=base_hz * orders, levels=levels) + _hiss(n_samples, rng, below_db=20.0)


def _clicks(n_samples: int, rng: np.random.Generator) -> Audio:
    """Keys, dishes, doors: bursts that die away in 1 to 40 ms, over a quiet hiss."""
    noise = _hiss(n_samples, rng, below_db=40.0)
    for _ in range(int(rng.integers(1, 12))):
        decay_samples = rng.uniform(0.001, 0.04) * SAMPLE_RATE_HZ
        length = min(int(6 * decay_samples), n_samples)
        start = int(rng.integers(0, n_samples - length + 1))
        burst = rng.standard_normal(length, dtype=np.float32) * np.exp(
            -np.arange(length, dtype=np.float32) / np.float32(decay_samples)
        )
        if rng.random() < 0.5:
            burst *= np.cos(np.arange(length, dtype=np.float32) * np.float32(rng.uniform(0.1, 2.5)))
        noise[start : start + length] += burst * np.float32(gain(rng.uniform(-20.0, 0.0)))
    return noise


def _chords(n_samples: int, rng: np.random.Generator) -> Audio:
    """Music without a tune: chords of decaying notes with overtones."""
    noise = np.zeros(n_samples, np.float32)
    start = -int(rng.integers(0, SAMPLE_RATE_HZ // 2))
    while start < n_samples:
        length = int(rng.uniform(0.2, 1.2) * SAMPLE_RATE_HZ)
        first, end = max(0, start), min(n_samples, start + length)
        if end > first:
            notes_hz = 110.0 * 2.0 ** ((rng.integers(0, 36) + rng.choice(12, int(rng.integers(1, 4)))) / 12.0)
            orders = np.arange(1, int(rng.integers(2, 5)))
            levels = np.tile(rng.uniform(0.2, 1.0, len(orders)) / orders, len(notes_hz))
            chord = _tones(end - first, rng, frequencies_hz=np.outer(notes_hz, orders).ravel(), levels=levels)
            seconds = np.arange(first - start, end - start, dtype=np.float32) / SAMPLE_RATE_HZ
            attack = np.minimum(seconds / np.float32(rng.uniform(0.005, 0.1)), 1.0)
            noise[first:end] += chord * attack * np.exp(-seconds * np.float32(rng.uniform(0.5, 5.0)))
        start += length
    return noise


def _tones(n_samples: int, rng: np.random.Generator, *, frequencies_hz: Any, levels: Any) -> Audio:
    """Sum of sines with random phases."""
    heard = frequencies_hz < SAMPLE_RATE_HZ / 2
    phases = rng.uniform(0.0, 2.0 * np.pi, len(frequencies_hz))[heard].astype(np.float32)
    steps = (2.0 * np.pi / SAMPLE_RATE_HZ * frequencies_hz[heard]).astype(np.float32)
    time = np.arange(n_samples, dtype=np.float32)
    total = np.zeros(n_samples, np.float32)
    for step, phase, level in zip(steps, phases, np.asarray(levels, np.float32)[heard], strict=True):
        total += level * np.sin(time * step + phase)
    return total


def _hiss(n_samples: int, rng: np.random.Generator, *, below_db: float) -> Audio:
    return rng.standard_normal(n_samples, dtype=np.float32) * np.float32(gain(-below_db))


_MAKERS: Final[dict[str, Callable[[int, np.random.Generator], Audio]]] = {
    "coloured": _coloured,
    "hum": _hum,
    "clicks": _clicks,
    "chords": _chords,
}
