"""Clips a core-second of each speech engine.

    python -m benchmarks.tts [--clips 40] [engine ...]

Each engine speaks a two-word phrase and as many sentences, in one process with one thread; loading is taken off.
The time is that of the processor, so other work on the machine matters little. Flite works in processes of its
own, whose time counts.
"""

from __future__ import annotations

import argparse
import os
import time

from benchmarks.program import run
from steps.sentences import write_sentences
from steps.trim import finish_clip
from steps.tts.engine import Engine, Request
from steps.tts.table import ENGINES


def main() -> None:
    """Time the engines that are here and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", help=f"of {', '.join(ENGINES)}; default: all")
    parser.add_argument("--clips", type=int, default=40, help="of the phrase, and as many sentences (default: 40)")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sentences = write_sentences(options.clips, seed=1, accept=lambda text: len(text.split()) >= 3)
    print(f"{'engine':8} {'load s':>7} {'phrases/s':>10} {'sentences/s':>12} {'x real time':>12}")
    for name in options.engines or ENGINES:
        engine = ENGINES[name]
        hint = engine.missing()
        if hint is not None:
            print(f"{name:8} {hint}")
            continue
        _speak(engine, ["hey nano"])  # imports what it needs
        load_s, _ = _speak(engine, ["hey nano"])
        phrases_s, phrases_audio_s = _speak(engine, ["hey nano"] * options.clips)
        sentences_s, sentences_audio_s = _speak(engine, sentences)
        spoken_s = max(1e-9, phrases_s - load_s), max(1e-9, sentences_s - load_s)
        faster = (phrases_audio_s + sentences_audio_s) / sum(spoken_s)
        rates = [options.clips / seconds for seconds in spoken_s]
        print(f"{name:8} {load_s:7.2f} {rates[0]:10.1f} {rates[1]:12.1f} {faster:12.1f}")


def _speak(engine: Engine, texts: list[str]) -> tuple[float, float]:
    """Processor time and length of the speech, seconds; loading the engine is in the first."""
    voices = [voice.name for voice in engine.voices("en-us")]
    requests = [
        Request(
            kind="positive",
            text=text,
            language="en-us",
            engine=engine.name,
            voices=(voices[i % len(voices)],),
            split="train",
            speed=1.0,
            seed=i,
        )
        for i, text in enumerate(texts)
    ]
    start_s = _processor_s()
    audio_s = 0.0
    for request, samples in zip(requests, engine.speak(requests, 1), strict=True):
        clip = finish_clip(samples, sample_rate_hz=engine.sample_rate_hz, text=request.text, speed=request.speed)
        audio_s += 0.0 if clip is None else len(clip) / 16_000
    return _processor_s() - start_s, audio_s


def _processor_s() -> float:
    """Time of this process and its children."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


if __name__ == "__main__":
    run(main)
