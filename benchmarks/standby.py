"""What saves power in front of a model, a voice activity detector or the gate: what it costs, saves and loses.

    python -m benchmarks.standby M.onnx CORPUS                                      # defaults, test part
    python -m benchmarks.standby M.onnx CORPUS --split calibration --trigger energy:6 silero:0.3 gate:0.4

CORPUS is the folder of the stage corpus, such as workspaces/NAME/artifacts/corpus; the gate is M_lite.onnx beside
M.onnx. Constants were chosen on the calibration part; what is quoted was measured on the test part.

Open: share of hops that the trigger wants. Run: share that the model runs in standby behind it, holding and catching up
included; the cost is the trigger's, plus the model's times this share, all timed in turn in one run on one thread.
Lost: clips of the phrase that the model hears alone and not behind the trigger, with exact limits, confidence 95 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.conditions import Playback, Split, pink_noise
from benchmarks.program import run
from nanowakeword.arrays import Floats, Samples
from nanowakeword.evaluation.experiment import TAIL_S
from nanowakeword.evaluation.limits import Rate, share
from nanowakeword.evaluation.recordings import LeftOut, Recording
from nanowakeword.evaluation.streams import Joined, join
from nanowakeword.graph import Graph
from nanowakeword.scorer import LocalScorer, Scorer, Trigger
from nanowakeword.standby import GateTrigger, Standby
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.vad import VADS, build_vad

Maker = Callable[[], Trigger]

GAP_S = 4.0
PIECE_HOPS = 50
TIMED_HOPS = 1_000
ROOM_S = 120


def main() -> None:
    """Measure and print three tables."""
    parser = argparse.ArgumentParser(description="What stands before a model: what it costs, saves and loses.")
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path, help="folder of the stage corpus")
    parser.add_argument("--split", choices=["calibration", "test"], default="test")
    parser.add_argument("--trigger", nargs="+", default=["gate", *VADS], metavar="NAME[:THRESHOLD]")
    parser.add_argument("--threshold", type=float, help="of the model; default: its own")
    parser.add_argument("--minutes", type=float, default=30, help="of each kind of recording without the phrase")
    options = parser.parse_args()
    graph = Graph.load(options.model)
    material = Split.load(options.corpus, phrase=graph.card.phrase, split=options.split)
    threshold = options.threshold or graph.card.threshold
    triggers = {name: maker(name, graph) for name in options.trigger}
    trigger_ms, model_ms = time_in_turn(graph, triggers)
    print(f"{graph.card.name}, {options.split} part; model {model_ms:.3f} ms per 80 ms, threshold {threshold:g}\n")
    print_shares(graph, material, triggers, trigger_ms=trigger_ms, model_ms=model_ms, seconds=60 * options.minutes)
    print_losses(graph, material, triggers, threshold=threshold)


def time_in_turn(graph: Graph, triggers: Mapping[str, Maker]) -> tuple[dict[str, float], float]:
    """Median milliseconds per hop of each trigger and of the model, called in turn on the same hops."""
    steps: dict[str, Callable[[Samples], object]] = {name: make().feed for name, make in triggers.items()}
    steps[""] = LocalScorer([graph]).feed
    taken: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps.items())
    for hop in pink_noise(TIMED_HOPS * HOP_SAMPLES, rms=300.0, seed=0).astype(np.int16).reshape(-1, HOP_SAMPLES):
        order.reverse()  # each follows each other one: who follows the model finds a cold cache
        for name, feed in order:
            started = time.perf_counter()
            feed(hop)
            taken[name].append((time.perf_counter() - started) * 1e3)
    medians = {name: float(np.median(values)) for name, values in taken.items()}
    return medians, medians.pop("")


def print_shares(
    graph: Graph,
    material: Split,
    triggers: Mapping[str, Maker],
    *,
    trigger_ms: dict[str, float],
    model_ms: float,
    seconds: float,
) -> None:
    """Shares of hops, and cost, by kind of sound."""
    for name in triggers:
        print(f"{name}: {trigger_ms[name]:.4f} ms per 80 ms")
    print(f"\n{'sound':<26}{'minutes':>8}  {'trigger':<12}{'open':>8}{'run':>8}{'ms':>8}")
    for kind, streams in sounds(material, seconds):
        audio = np.concatenate(list(streams))
        for name, make in triggers.items():
            wanted = np.concatenate([*map(make().feed, pieces(audio))]).mean()
            standby = Standby(LocalScorer([graph]), make())
            for piece in pieces(audio):
                standby.feed(piece)
            run = standby.run_hops / standby.hops
            cost_ms = trigger_ms[name] + run * model_ms
            minutes = len(audio) / SAMPLE_RATE_HZ / 60
            row = f"{kind:<26}{minutes:>8.1f}  {name:<12}{wanted:>8.1%}{run:>8.1%}{cost_ms:>8.3f}"
            print(row, flush=True)
    print()


def sounds(material: Split, seconds: float) -> Iterator[tuple[str, Iterable[Samples]]]:
    """Streams of whole hops by kind, rooms without anybody first."""
    silence = np.zeros(ROOM_S * SAMPLE_RATE_HZ, np.int16)
    yield "digital silence", [silence]
    for kind, level_dbfs in {"microphone's noise, -90": -90, "still room, -60": -60, "fan, -40": -40}.items():
        rms = 32_768 * 10 ** (level_dbfs / 20)
        yield kind, [np.rint(pink_noise(len(silence), rms=rms, seed=1)).astype(np.int16)]
    for kind, recordings in material.by_kind.items():
        yield kind, limited(join(recordings, gap_s=0.0, seed=0, leave_out=refuse), seconds)


def limited(streams: Iterator[Joined], seconds: float) -> Iterator[Samples]:
    """Audio of streams, up to a length."""
    left = round(seconds * SAMPLE_RATE_HZ) // HOP_SAMPLES * HOP_SAMPLES
    while left and (joined := next(streams, None)):
        yield joined.audio[:left]
        left -= len(joined.audio[:left])


def print_losses(graph: Graph, material: Split, triggers: Mapping[str, Maker], *, threshold: float) -> None:
    """Clips of the phrase that a trigger loses, by condition."""
    talkers = material.by_kind["speech"]
    conditions = {
        "as recorded": Playback(),
        "played at -40 dBFS": Playback(level_dbfs=-40),
        "the same, pink 10 dB": Playback(level_dbfs=-40, snr_db=10),
        "the same, babble 10 dB": Playback(level_dbfs=-40, snr_db=10, talkers=talkers),
        "the same, pink 0 dB": Playback(level_dbfs=-40, snr_db=0),
    }
    print(f"{'phrase':<26}{'trigger':<14}{'missed':<28}{'lost of what is heard without'}")
    for condition, playback in conditions.items():
        heard = hear(LocalScorer([graph]), material.positives, playback, threshold=threshold)
        print(f"{condition:<26}{'none':<14}{described(share(int((~heard).sum()), len(heard)))}")
        for name, make in triggers.items():
            behind = hear(Standby(LocalScorer([graph]), make()), material.positives, playback, threshold=threshold)
            missed, lost = int((~behind).sum()), int((heard & ~behind).sum())
            figures = f"{described(share(missed, len(heard))):<28}{described(share(lost, max(int(heard.sum()), 1)))}"
            print(f"{condition:<26}{name:<14}{figures}", flush=True)


def hear(
    scorer: Scorer, positives: Sequence[Recording], playback: Playback, *, threshold: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each clip reaches the threshold, bool ``[n]``."""
    heard = []
    for joined in join(positives, gap_s=GAP_S, seed=0, leave_out=refuse):
        scorer.reset()
        scores: Floats = np.zeros(len(joined.audio) // HOP_SAMPLES, np.float32)
        for piece in pieces(playback.mix(joined).audio):
            for judged in scorer.feed(piece):
                values = next(iter(judged.scores.values()))
                scores[judged.first_hop : judged.first_hop + len(values)] = values
        for place in joined.placements:
            first, last = place.start // HOP_SAMPLES, (place.stop + round(TAIL_S * SAMPLE_RATE_HZ)) // HOP_SAMPLES
            heard.append(bool(scores[first : max(last, first + 1)].max() >= threshold))
    return np.array(heard)


def pieces(audio: Samples) -> Iterator[Samples]:
    """Audio in pieces of a few seconds."""
    for start in range(0, len(audio), PIECE_HOPS * HOP_SAMPLES):
        yield audio[start : start + PIECE_HOPS * HOP_SAMPLES]


def maker(name: str, graph: Graph) -> Maker:
    """What makes a trigger, from ``NAME`` or ``NAME:THRESHOLD``."""
    kind, _, value = name.partition(":")
    if kind != "gate":
        return lambda: build_vad(kind, float(value or 0))
    gate = Graph.load(graph.path.with_name(f"{graph.path.stem}_lite.onnx"))
    return lambda: GateTrigger(gate, threshold=float(value) if value else None)


def refuse(left_out: LeftOut) -> None:
    """Figures of a part of the recordings would be no figures."""
    raise SystemExit(f"{left_out.name}: {left_out.reason}")


def described(rate: Rate) -> str:
    """A share with its limits."""
    return f"{rate.count}/{rate.total:g} {rate.rate:.1%} ({rate.low:.1%}-{rate.high:.1%})".replace("%-", "-")


if __name__ == "__main__":
    run(main)
