"""Whether listening leaks: hours of audio as fast as they go, and the memory of the process after each.

    python -m benchmarks.memory M.onnx [--hours 24] [--cascade] [--vad energy] [--denoise] [--recordings DIR]
                                       [--plot memory.png] [--json memory.json]

Half an hour of material, either made of noise, tones, silence and what has the rhythm and the formants of speech, or
taken from a folder of recordings, is heard minute by minute in random order, in chunks of many sizes. Memory may grow
while caches fill, in the first hour; if it grows by more than the bound after that, the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.program import run
from nanowakeword import NanoInterpreter
from nanowakeword.arrays import Samples
from nanowakeword.commands.bench import resident_mib
from nanowakeword.evaluation import find_recordings
from nanowakeword.timing import HOP_S, SAMPLE_RATE_HZ

Wave = npt.NDArray[np.float64]
MINUTE: Final = 60 * SAMPLE_RATE_HZ
MINUTES: Final = 30
# What sound cards and programs deliver: 10 and 20 ms, powers of two, whole hops, half a second.
CHUNKS: Final = (160, 320, 1_024, 1_280, 2_560, 4_096, 8_000)
SETTLING_HOURS: Final = 1
SAMPLES_PER_HOUR: Final = 6


class Sample(NamedTuple):
    """Memory at a time.

    Attributes:
        hours: of audio heard.
        mib: what the process holds.
        detections: so far.
        ms: processor time per 80 ms, of the last part.
    """

    hours: float
    mib: float
    detections: int
    ms: float


def silence(rng: np.random.Generator) -> Samples:
    """A quiet room: noise of one or two steps."""
    return np.rint(rng.normal(scale=rng.uniform(0.0, 2.0), size=MINUTE)).astype(np.int16)


def noise(rng: np.random.Generator) -> Samples:
    """Hiss and rumble: white noise filtered to fall with frequency, at a random level."""
    spectrum = np.fft.rfft(rng.normal(size=MINUTE))
    spectrum /= np.maximum(1.0, np.arange(len(spectrum)) / 60.0) ** rng.uniform(0.0, 1.0)
    return _to_int16(np.fft.irfft(spectrum, MINUTE), rms=10 ** rng.uniform(1.5, 3.7))


def tones(rng: np.random.Generator) -> Samples:
    """Chords that change twice a second, as music has them."""
    t = np.arange(MINUTE // 120) / SAMPLE_RATE_HZ
    chords = []
    for _ in range(120):
        pitches_hz = 110.0 * 2 ** (rng.integers(0, 36, size=4) / 12)
        chord = sum(np.sin(2 * np.pi * pitch * k * t) / k for pitch in pitches_hz for k in (1, 2, 3))
        chords.append(chord * np.exp(-3.0 * t))
    return _to_int16(np.concatenate(chords), rms=10 ** rng.uniform(2.5, 3.7))


def speech(rng: np.random.Generator) -> Samples:
    """Syllables: pulses of a moving pitch, or hiss, through resonances that change four times a second."""
    parts: list[Wave] = []
    while sum(len(part) for part in parts) < MINUTE:
        n = round(SAMPLE_RATE_HZ * rng.uniform(0.12, 0.35))
        pitch_hz = np.linspace(rng.uniform(90, 260), rng.uniform(90, 260), n)
        phase = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
        voiced = rng.random() < 0.75
        source = np.diff(np.floor(phase), prepend=0.0) if voiced else rng.normal(scale=0.1, size=n)
        frequency_hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
        formants_hz = rng.uniform((250, 800, 2_000), (900, 2_300, 3_400))
        gain = sum(1 / (1 + ((frequency_hz - formant) / 90) ** 2) for formant in formants_hz)
        parts.append(np.fft.irfft(np.fft.rfft(source) * gain, n) * np.hanning(n))
        if rng.random() < 0.2:
            parts.append(np.zeros(round(SAMPLE_RATE_HZ * rng.uniform(0.1, 1.5))))
    return _to_int16(np.concatenate(parts)[:MINUTE], rms=10 ** rng.uniform(2.5, 3.5))


def made(rng: np.random.Generator) -> Iterator[Samples]:
    """Minutes of every kind, most of them speech."""
    kinds: Sequence[Callable[[np.random.Generator], Samples]] = (speech, noise, speech, tones, speech, silence)
    for number in range(MINUTES):
        yield kinds[number % len(kinds)](rng)


def recorded(folder: Path, rng: np.random.Generator) -> Iterator[Samples]:
    """Minutes of recordings in random order, as many as there are at most."""
    rest = np.zeros(0, np.int16)
    recordings = find_recordings(folder)
    for index in rng.permutation(len(recordings)):
        rest = np.concatenate([rest, recordings[index].read()])
        while len(rest) >= MINUTE:
            yield rest[:MINUTE]
            rest = rest[MINUTE:]
    yield rest


def listen(interpreter: NanoInterpreter, material: Sequence[Samples], *, hours: float, seed: int) -> Iterator[Sample]:
    """Feed the material over and over; a sample of memory six times per hour of audio."""
    rng = np.random.default_rng(seed)
    heard = detections = 0
    due, parts = 0, hours * SAMPLES_PER_HOUR
    part_start, part_samples = time.process_time(), 0
    while due < parts:
        minute = material[int(rng.integers(len(material)))]
        size = int(rng.choice(CHUNKS))
        for start in range(0, len(minute), size):
            detections += len(interpreter.predict(minute[start : start + size]).detections)
        heard += len(minute)
        part_samples += len(minute)
        if heard / SAMPLE_RATE_HZ * SAMPLES_PER_HOUR >= 3_600 * (due + 1):
            due += 1
            mib = resident_mib()
            if mib is None:
                sys.exit("this system does not tell how much memory a process holds")
            ms = (time.process_time() - part_start) * 1e3 * HOP_S / (part_samples / SAMPLE_RATE_HZ)
            yield Sample(heard / SAMPLE_RATE_HZ / 3_600, mib, detections, ms)
            part_start, part_samples = time.process_time(), 0


def growth_mib(samples: Sequence[Sample]) -> float:
    """Most memory after the first hour beyond that at its end."""
    later = [sample.mib for sample in samples if sample.hours >= SETTLING_HOURS]
    return max(later) - later[0]


def plot(samples: Sequence[Sample], path: Path, *, title: str) -> None:
    """Draw memory over hours of audio."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    axes.plot([sample.hours for sample in samples], [sample.mib for sample in samples])
    axes.set_ylim(0, 1.2 * max(sample.mib for sample in samples))
    axes.set_xlim(0, samples[-1].hours)
    axes.set_xlabel("hours of audio")
    axes.set_ylabel("memory of the process, MiB")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> int:
    """Listen, print a line per hour, write the files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="M.onnx")
    parser.add_argument("--hours", type=float, default=24.0, help="of audio (24)")
    parser.add_argument("--cascade", action="store_true", help="behind the gate that lies beside the model")
    parser.add_argument("--vad", choices=["energy", "silero"], help="behind a voice activity detector")
    parser.add_argument("--denoise", action="store_true", help="behind noise reduction")
    parser.add_argument("--recordings", type=Path, metavar="DIR", help="in place of the material that is made")
    parser.add_argument("--bound-mib", type=float, default=2.0, help="growth after the first hour that is no error (2)")
    parser.add_argument("--seed", type=int, default=0, help="of the material and its order (0)")
    parser.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write the samples to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw memory over hours")
    options = parser.parse_args()
    if options.hours <= SETTLING_HOURS:
        parser.error(f"--hours must be above {SETTLING_HOURS}")
    rng = np.random.default_rng(options.seed)
    minutes = made(rng) if options.recordings is None else recorded(options.recordings, rng)
    material = [minute for minute, _ in zip(minutes, range(MINUTES), strict=False)]
    interpreter = NanoInterpreter.load_model(
        options.model, cascade=options.cascade, vad=options.vad, enable_noise_reduction=options.denoise
    )
    samples: list[Sample] = []
    print(f"{'hours':>8}{'MiB':>9}{'detections':>12}{'ms per 80 ms':>14}")
    for sample in listen(interpreter, material, hours=options.hours, seed=options.seed):
        samples.append(sample)
        if len(samples) % SAMPLES_PER_HOUR == 0:
            print(f"{sample.hours:>8.2f}{sample.mib:>9.2f}{sample.detections:>12}{sample.ms:>14.3f}", flush=True)
    grown = growth_mib(samples)
    print(f"after the first hour memory grew by {grown:.2f} MiB at most; bound {options.bound_mib:g}")
    if options.json_file is not None:
        options.json_file.write_text(json.dumps([sample._asdict() for sample in samples]) + "\n", encoding="utf-8")
    if options.plot is not None:
        plot(samples, options.plot, title=f"{options.model.name}, {options.hours:g} h of audio")
    return 1 if grown > options.bound_mib else 0


def _to_int16(signal: Wave, *, rms: float) -> Samples:
    scaled = np.rint(signal * (rms / np.sqrt(np.mean(signal**2))))
    samples: Samples = np.clip(scaled, -32_768, 32_767).astype(np.int16)
    return samples


if __name__ == "__main__":
    run(main)
