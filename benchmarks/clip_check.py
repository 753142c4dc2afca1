"""Are wrong clips found among those of the phrase? And how fast.

    python -m benchmarks.clip_check CLIPS [--wrong "computer,hello there"] [--each 12] [--share 0.02]

CLIPS is the folder of a stage synthesize. Clips of each wrong text, in several engines, are put among those of the
phrase, one text at a time; then so many in a hundred of all clips are dropped. Shown is how many of the wrong ones are
among them, and of the right ones, by engine.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.program import run
from steps.clip_check import SpokenClip, find_doubtful
from steps.clippack import Clip, ClipPack
from steps.synthesize import find_engines
from steps.trim import finish_clip
from steps.tts.engine import Engine, Request

_ENGINES = ("espeak", "flite", "festival", "hibari", "piper")
_TEXTS = "computer,hello there,alexander,a letter,election,electra,alexis"


def main() -> None:
    """Plant, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, help="folder of a stage synthesize")
    parser.add_argument("--wrong", default=_TEXTS, help=f"texts, apart by commas (default: {_TEXTS})")
    parser.add_argument("--each", type=int, default=12, help="clips of each (default: 12)")
    parser.add_argument("--share", type=float, default=0.02, help="of the clips, to drop (default: 0.02)")
    parser.add_argument("--phonemes", default="aleksa", help="of the phrase, in IPA (default: those of alexa)")
    options = parser.parse_args()
    pack = ClipPack(options.clips)
    clips: list[SpokenClip] = [(clip, pack.audio(i)) for i, clip in enumerate(pack.clips)]
    engines, _ = find_engines(_ENGINES)
    find_doubtful(clips[:400], phonemes=options.phonemes, share=0.5, seed=1)  # compiles and loads what it needs
    judged = Counter(c.engine for c, _ in clips if c.kind == "positive" and c.split in {"train", "validation"})
    for text in options.wrong.split(","):
        planted = [clip for part in _share(options.each, len(engines)) for clip in _speak(text, engines, part)]
        everything = [*clips, *planted]
        start_s = time.process_time()
        dropped = find_doubtful(everything, phonemes=options.phonemes, share=options.share, seed=1)
        took_s = time.process_time() - start_s
        found = sum(place >= len(clips) for place in dropped)
        good = Counter(everything[place][0].engine for place in dropped if place < len(clips))
        by_engine = ", ".join(f"{name} {good[name] / n:.1%}" for name, n in sorted(judged.items()))
        rate = (sum(judged.values()) + len(planted)) / took_s
        print(f"{text:12} {found:3} of {len(planted)} found; right ones dropped: {by_engine}; {rate:.0f} clips/s")


def _share(n: int, parts: int) -> list[list[int]]:
    """Numbers 0 to n - 1, dealt out."""
    return [list(range(n))[part::parts] for part in range(parts)]


def _speak(text: str, engines: dict[str, Engine], numbers: list[int]) -> list[SpokenClip]:
    """Clips of a text by the engine whose turn it is, under the label of the phrase."""
    if not numbers:
        return []
    name = list(engines)[numbers[0] % len(engines)]
    voices = engines[name].voices("en-us")
    rng = np.random.default_rng(numbers)
    requests = [
        Request(
            kind="positive",
            text=text,
            language="en-us",
            engine=name,
            voices=(voices[int(rng.integers(len(voices)))].name,),
            split="train",
            speed=float(rng.uniform(0.6, 1.3)),
            seed=number,
        )
        for number in numbers
    ]
    spoken: list[SpokenClip] = []
    for request, samples in zip(requests, engines[name].speak(requests, 1), strict=True):
        clip = finish_clip(samples, sample_rate_hz=engines[name].sample_rate_hz, text=request.text, speed=request.speed)
        if clip is not None:
            facts = Clip(
                kind="positive",
                text=text,
                engine=name,
                voice=request.voices[0],
                split="train",
                speed=request.speed,
                licence=engines[name].licence,
                n_samples=len(clip),
            )
            spoken.append((facts, clip))
    return spoken


if __name__ == "__main__":
    run(main)
