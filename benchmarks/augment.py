"""Windows rendered, features included, on one core, and what each augmentation takes of it; rooms as they ring.

    python -m benchmarks.augment                 # on hiss, which is there everywhere and costs what speech costs
    python -m benchmarks.augment WORKSPACE       # on a workspace's own clips, recordings and settings
    python -m benchmarks.augment --rooms 40      # how real the simulated rooms are, and what they cost

Times are processor time, so that a busy machine does not count. The peer is NanoWakeword 2.1.3, measured on a machine
of this kind: 11 clips of 2 s a core-second with features, of which the pitch shift takes 22 to 25 ms a clip and the
embedding 26. Rooms are simulated once for a whole run; their time is shared out over as many windows as the settings
make.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.program import run
from models.frontends.table import FRONT_ENDS
from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.augment import plan_windows, settle_copies
from steps.augmentations import noise
from steps.augmentations.table import AUGMENTATIONS, Augmentation
from steps.clippack import Clip, Kind, write_clips
from steps.decibels import Audio
from steps.features import FeatureExtractor
from steps.recipes import RecipeDrawer
from steps.rendering import load_sources
from steps.rooms import Rooms, draw_room, simulate_room
from steps.settings import Augment, load_settings
from steps.sources import Sources
from steps.windows import SPLITS, render

ROOT = Path(__file__).parents[1]
PEER_CLIPS_PER_S = 11
CLIP_S = 2.0
BANK = 24


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What augmentation costs.")
    parser.add_argument("workspace", type=Path, nargs="?", help="one with clips; default: clips of hiss")
    parser.add_argument("--windows", type=int, default=800, help="to render (default: 800)")
    parser.add_argument("--rooms", type=int, help="simulate so many rooms, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.rooms:
        print_rooms(options.rooms)
        return
    settings = load_settings((options.workspace or ROOT) / "params.yaml")
    with tempfile.TemporaryDirectory() as name:
        if options.workspace:
            folders = [options.workspace / "artifacts" / stage for stage in ("synthesize", "corpus")]
        else:
            folders = [Path(name)] * 2
            write_clips(Path(name), clips())
            (Path(name) / "recordings.jsonl").touch()
        clip_folder, corpus = folders
        sources = load_sources(clips=clip_folder, corpus=corpus, phrase=settings.wakeword.phrase)["train"]
        rooms, room_ms = bank()
        print_effects(sources, rooms, settings.augment, n_windows=options.windows, room_ms=room_ms)


def bank() -> tuple[Rooms, float]:
    """A small bank of rooms, and milliseconds to simulate one."""
    parameters = [draw_room(np.random.default_rng(number)) for number in range(BANK)]
    simulate_room(**parameters[0])  # imports what it needs
    started = time.process_time()
    responses = np.stack([simulate_room(**room) for room in parameters])
    return Rooms(parameters, responses), (time.process_time() - started) / BANK * 1e3


def print_effects(sources: Sources, rooms: Rooms, settings: Augment, *, n_windows: int, room_ms: float) -> None:
    """Render a sample of the windows that the stage would, and extract their features."""
    copies, _ = settle_copies(settings, sources)
    plans, _ = plan_windows(sources, settings, copies=copies, is_validation=False)
    chosen = [plans[i] for i in np.linspace(0, len(plans) - 1, n_windows).astype(int)]
    shares, bank_ms = settings.shares.model_dump(), room_ms * settings.rooms / len(plans)
    for title, pitch in {
        "without pitch shift": 0.0,
        "all voices pitch shifted": 1.0,
        "as set": shares["pitch"],
    }.items():
        drawer = RecipeDrawer(
            sources,
            split="train",
            seed=7,
            n_samples=round(settings.window_s * SAMPLE_RATE_HZ),
            shares={**shares, "pitch": pitch},
            snr_db=settings.snr_db,
            rooms=rooms,
        )
        for plan in chosen[:50]:
            render(drawer.draw(plan), sources=sources, rooms=rooms)
        with Stopwatch() as watch:
            recipes = [drawer.draw(plan) for plan in chosen]
            draw_ms = watch.total_ms / n_windows
            windows = [render(recipe, sources=sources, rooms=rooms).audio for recipe in recipes]
            whole_ms = watch.total_ms / n_windows + bank_ms
        print(f"{title}: {1e3 / whole_ms:.0f} windows of {settings.window_s:g} s a core-second, {whole_ms:.2f} ms each")
    counts = Counter(name for recipe in recipes for name in recipe.names())
    print(f"  {'':<22}{'share':>7}{'ms each':>9}{'ms a window':>13}{'of all':>8}")

    def line(name: str, share: str, each_ms: float, a_window_ms: float) -> None:
        print(f"  {name:<22}{share:>7}{each_ms:9.2f}{a_window_ms:13.3f}{a_window_ms / whole_ms:8.1%}")

    for name in AUGMENTATIONS:
        taken_ms = watch.taken_ms[name]
        line(name, f"{counts[name] / n_windows:.2f}", taken_ms / max(1, counts[name]), taken_ms / n_windows)
    line("rooms, simulated", str(settings.rooms), room_ms, bank_ms)
    line("recipes, drawn", "1.00", draw_ms, draw_ms)
    for kind in noise.KINDS:
        print(f"    noise, {kind:<12} {noise_ms(kind, n_samples=len(windows[0])):5.2f} ms, sounds given")
    print_features(np.stack(windows[:256]), window_ms=whole_ms, window_s=settings.window_s)


def print_features(audio: npt.NDArray[np.int16], *, window_ms: float, window_s: float) -> None:
    """Time each front end, and compare the whole with the peer."""
    print("features:")
    total_ms = {}
    for name in FRONT_ENDS:
        extractor = FeatureExtractor(FRONT_ENDS[name])

        def extract(_: int, extractor: FeatureExtractor = extractor) -> object:
            return extractor(audio)

        total_ms[name] = cpu_ms(extract, times=2) / len(audio)
        print(f"  {name:<22}{1e3 / total_ms[name]:6.0f} windows a core-second, {total_ms[name]:.2f} ms each")
    rows = {
        "logmel": ("logmel",),
        "speech_embedding, as the peer": ("speech_embedding",),
        "the default: both and the gate's": ("speech_embedding", "wakehubert", "logmel"),
    }
    print(f"windows with features, a core-second; in brackets as clips of {CLIP_S:g} s, against {PEER_CLIPS_PER_S}:")
    for title, names in rows.items():
        rate = 1e3 / (window_ms + sum(total_ms[name] for name in names))
        as_clips = rate * window_s / CLIP_S
        print(f"  {title:<34}{rate:5.0f} ({as_clips:.0f}, {as_clips / PEER_CLIPS_PER_S:.0f} times)")


class Stopwatch:
    """Processor time inside each augmentation while it is entered, and in all.

    Attributes:
        taken_ms: by name.
    """

    def __init__(self) -> None:
        self.taken_ms: dict[str, float] = dict.fromkeys(AUGMENTATIONS, 0.0)
        self._rows = dict(AUGMENTATIONS)
        self._started = 0.0

    def __enter__(self) -> Stopwatch:
        for name, row in self._rows.items():
            AUGMENTATIONS[name] = self._timed(name, row)
        self._started = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        AUGMENTATIONS.update(self._rows)

    @property
    def total_ms(self) -> float:
        """Since it was entered."""
        return (time.process_time() - self._started) * 1e3

    def _timed(self, name: str, row: Augmentation) -> Augmentation:
        def apply(*arguments: object, **parameters: object) -> Audio:
            started = time.process_time()
            try:
                return row.apply(*arguments, **parameters)
            finally:
                self.taken_ms[name] += (time.process_time() - started) * 1e3

        return Augmentation(draw=row.draw, apply=apply, tell=row.tell, of=row.of, length=row.length)


def noise_ms(kind: str, *, n_samples: int) -> float:
    """Time to make one noise."""
    sounds = [np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)] * 5
    return cpu_ms(lambda seed: noise.make(n_samples, np.random.default_rng(seed), kind=kind, sounds=sounds), times=30)


def cpu_ms(work: Callable[[int], object], *, times: int) -> float:
    """Processor time of one call."""
    work(0)
    started = time.process_time()
    for i in range(times):
        work(i)
    return (time.process_time() - started) / times * 1e3


def clips() -> Iterator[tuple[Clip, npt.NDArray[np.int16]]]:
    """Clips as long as speech."""
    rng = np.random.default_rng(0)
    seconds: dict[Kind, float] = {"positive": 0.8, "partial": 0.5, "negative": 1.8}
    for split in SPLITS:
        for kind, mean in seconds.items():
            for i in range(20):
                samples = rng.integers(
                    -9000, 9000, round(mean * rng.uniform(0.6, 1.6) * SAMPLE_RATE_HZ), dtype=np.int16
                )
                clip = Clip(
                    kind=kind,
                    text="",
                    engine="hiss",
                    voice=str(i % 4),
                    split=split,
                    speed=1.0,
                    licence="CC0-1.0",
                    n_samples=len(samples),
                )
                yield clip, samples


def print_rooms(count: int) -> None:
    """Decay time against the one asked for, direct-to-reverberant ratio and clarity of simulated rooms."""
    rows = []
    started = time.process_time()
    for number in range(count):
        room = draw_room(np.random.default_rng([1, number]))
        distance_m = float(np.linalg.norm(np.subtract(room["source_m"], room["microphone_m"])))
        rows.append((distance_m, *ringing(simulate_room(**room), rt60_s=room["rt60_s"])))
    each_ms = (time.process_time() - started) / count * 1e3
    print(f"{count} rooms, {each_ms:.0f} ms each")
    distances, ratios, direct_db, clarity_db = np.array(rows).T
    for title, values in {
        "measured over wanted RT60 (T20)": ratios,
        "direct-to-reverberant ratio, dB": direct_db,
        "clarity C50, dB": clarity_db,
    }.items():
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
        print(f"  {title:<34} 10 % {low:6.2f}   median {middle:6.2f}   90 % {high:6.2f}")
    doubled = np.polyfit(np.log2(distances), direct_db, 1)[0]
    print(f"  direct-to-reverberant ratio by distance: {doubled:+.1f} dB where it doubles (free field: -6)")


def ringing(response: Audio, *, rt60_s: float) -> tuple[float, float, float]:
    """T20 (ISO 3382) over a wanted RT60, energy within 2.5 ms of the direct sound over the rest, C50; in dB."""
    energy = np.square(response, dtype=np.float64)
    start = int(np.abs(response).argmax())
    left = np.cumsum(energy[::-1])[::-1][start:]
    falling = 10.0 * np.log10(left / left[0] + 1e-12)
    t20_s = 3.0 * float(np.argmax(falling < -25.0) - np.argmax(falling < -5.0)) / SAMPLE_RATE_HZ

    def ratio_db(samples: int) -> float:
        return float(10.0 * np.log10(energy[: start + samples].sum() / max(energy[start + samples :].sum(), 1e-12)))

    return t20_s / rt60_s, ratio_db(40), ratio_db(800)


if __name__ == "__main__":
    run(main)
