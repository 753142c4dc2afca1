"""What noise reduction in front of a model does to its misses and false accepts, and what it costs.

    python -m benchmarks.denoise M.onnx CORPUS

CORPUS is the folder of the stage corpus, such as workspaces/NAME/artifacts/corpus. Each row is one level of noise
reduction, 0 being none, twice: at the model's own threshold, and at the one that the calibration part gives for the
same false accepts behind that noise reduction, as a model that always has it would be set. Figures are those of the
test part, with exact limits, confidence 95 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.conditions import Playback, Split, pink_noise
from benchmarks.program import run
from nanowakeword.arrays import Floats
from nanowakeword.denoise import DELAY_SAMPLES, Denoiser
from nanowakeword.evaluation.experiment import TAIL_S
from nanowakeword.evaluation.false_accepts import FalseAccepts
from nanowakeword.evaluation.limits import Rate, per_hour
from nanowakeword.evaluation.measure import miss_rate, threshold_for_budget
from nanowakeword.evaluation.scoring import Scores, clip_peaks, score_recordings
from nanowakeword.evaluation.streams import Joined
from nanowakeword.graph import Graph
from nanowakeword.postfilter import REFRACTORY_S
from nanowakeword.timing import HOP_SAMPLES

GAP_S = 4.0  # the suppressor hears the room's noise before the phrase
NEGATIVE_GAP_S = 0.5
TIMED_HOPS = 500
Mix = Callable[[Joined], Joined]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="What noise reduction does to a model.")
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path, help="folder of the stage corpus")
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--budget", type=float, default=0.5, help="false accepts per hour to set thresholds for")
    options = parser.parse_args()
    graph = Graph.load(options.model)
    own = graph.card.threshold
    print(
        f"{graph.card.name}, test part; noise reduction {milliseconds():.3f} ms per 80 ms, {DELAY_SAMPLES} samples late"
    )
    print(f"{'level':<7}{'threshold':<22}{'false accepts per hour':<28}{'the same in pink 10 dB':<28}", end="")
    print("".join(f"{'missed, ' + name:<26}" for name in ("clean", "pink 10 dB", "babble 10 dB")))
    for level in options.levels:
        calibration = FalseAccepts(negatives(graph, options.corpus, "calibration", level), refractory_s=REFRACTORY_S)
        refit = threshold_for_budget(calibration, options.budget) or 1.0
        material = Split.load(options.corpus, phrase=graph.card.phrase, split="test")
        peaks = phrase_peaks(graph, material, level)
        accepts = [
            FalseAccepts(negatives(graph, options.corpus, "test", level, snr_db=snr_db), refractory_s=REFRACTORY_S)
            for snr_db in (None, 10.0)
        ]
        for name, threshold in {f"its own, {own:g}": own, f"set for {options.budget:g}/h, {refit:g}": refit}.items():
            figures = [described(per_hour(part.count(threshold), part.hours), unit="") for part in accepts]
            row = "".join(f"{figure:<28}" for figure in figures)
            row += "".join(f"{described(miss_rate(values, threshold), unit='%'):<26}" for values in peaks)
            print(f"{level:<7}{name:<22}{row}", flush=True)


def phrase_peaks(graph: Graph, material: Split, level: int) -> list[Floats]:
    """Highest score of each clip: clean, in pink noise, in babble."""
    conditions = [
        Playback(),
        Playback(level_dbfs=-30, snr_db=10),
        Playback(level_dbfs=-30, snr_db=10, talkers=material.by_kind["speech"]),
    ]
    return [
        clip_peaks(
            score_recordings(
                graph, material.positives, gap_s=GAP_S, seed=0, mix=behind(level, playback.mix), threads=1
            ),
            tail_s=TAIL_S,
        )
        for playback in conditions
    ]


def negatives(
    graph: Graph, corpus: Path, split: Literal["calibration", "test"], level: int, *, snr_db: float | None = None
) -> Scores:
    """Scores of the recordings without the phrase, as they are or played at -30 dBFS in pink noise."""
    recordings = Split.load(corpus, phrase=graph.card.phrase, split=split).negatives
    mix = behind(level, Playback(level_dbfs=None if snr_db is None else -30, snr_db=snr_db).mix)
    return score_recordings(graph, recordings, gap_s=NEGATIVE_GAP_S, seed=0, mix=mix, threads=1)


def behind(level: int, mix: Mix) -> Mix:
    """A stream's mix and then noise reduction."""

    def reduced(joined: Joined) -> Joined:
        mixed = mix(joined)
        if not level:
            return mixed
        return Joined(number=mixed.number, audio=Denoiser(level=level).feed(mixed.audio), placements=mixed.placements)

    return reduced


def milliseconds() -> float:
    """Median time of one hop."""
    denoiser, taken = Denoiser(), []
    for hop in pink_noise(TIMED_HOPS * HOP_SAMPLES, rms=300.0, seed=0).astype(np.int16).reshape(-1, HOP_SAMPLES):
        started = time.perf_counter()
        denoiser.feed(hop)
        taken.append((time.perf_counter() - started) * 1e3)
    return float(np.median(taken))


def described(rate: Rate, *, unit: str) -> str:
    """A rate with its limits."""
    scale = 100 if unit else 1
    digits = 1 if unit else 2
    low, high = (f"{value * scale:.{digits}f}" for value in (rate.low, rate.high))
    return f"{rate.count} = {rate.rate * scale:.{digits}f}{unit} ({low}-{high})"


if __name__ == "__main__":
    run(main)
