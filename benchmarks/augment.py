"""Windows rendered and features extracted on one core, beside each effect alone.

    python benchmarks/augment.py

Times are processor time, so that a busy machine does not count. Clips are hiss: what they say costs nothing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.frontends.table import FRONT_ENDS
from steps.augmentations import noise
from steps.augmentations.table import AUGMENTATIONS
from steps.clippack import Clip, ClipPack, Kind, write_clips
from steps.features import FeatureExtractor
from steps.sources import Sources
from steps.windows import Form, Plan, WindowRenderer

WINDOW_S = 2.4
N = round(WINDOW_S * 16_000)
FORMS: dict[Form, int] = {
    "phrase": 120,
    "cut": 12,
    "partial": 30,
    "running": 110,
    "ending": 55,
    "piece": 55,
    "noise": 30,
}


def clips() -> Iterator[tuple[Clip, npt.NDArray[np.int16]]]:
    """Clips as long as speech."""
    rng = np.random.default_rng(0)
    seconds: dict[Kind, float] = {"positive": 0.8, "partial": 0.5, "negative": 1.8}
    for kind, mean in seconds.items():
        for i in range(20):
            samples = rng.integers(-9000, 9000, round(mean * rng.uniform(0.6, 1.6) * 16_000), dtype=np.int16)
            yield (
                Clip(
                    kind=kind,
                    text="",
                    engine="hiss",
                    voice=str(i % 4),
                    split="train",
                    speed=1.0,
                    licence="CC0-1.0",
                    n_samples=len(samples),
                ),
                samples,
            )


def cpu_ms(work: Callable[[int], object], *, times: int) -> float:
    """Processor time of one call."""
    work(0)
    started = time.process_time()
    for i in range(times):
        work(i)
    return (time.process_time() - started) / times * 1e3


def effects() -> None:
    """Time each augmentation on one window."""
    audio = np.random.default_rng(0).standard_normal(N).astype(np.float32) * np.float32(0.1)
    place = {"n_samples": N, "word_start": N // 2, "word_end": N}
    for name, effect in AUGMENTATIONS.items():

        def once(seed: int, name: str = name, apply: Callable[..., object] = effect.apply) -> object:
            rng = np.random.default_rng(seed)
            drawn = AUGMENTATIONS[name].draw(rng, **(place if name == "take" else {}))
            sounds = {"sounds": [audio] * 5} if name == "noise" else {}
            return apply(audio, rng, **drawn, **sounds)

        print(f"  {name:<10}{cpu_ms(once, times=60):7.2f} ms")
    for kind in noise.KINDS:

        def make(seed: int, kind: str = kind) -> object:
            return noise.make(N, np.random.default_rng(seed), kind=kind, sounds=[audio] * 5)

        print(f"    {kind:<12}{cpu_ms(make, times=30):5.2f} ms")


def windows(folder: Path) -> list[npt.NDArray[np.int16]]:
    """Time the rendering of every form of window with the default shares."""
    sources = Sources(ClipPack(folder), split="train", recordings=(), phrase="hey nano")
    renderer = WindowRenderer(
        sources, split="train", seed=7, n_samples=N, room_share=0.6, noise_share=0.6, snr_db=(0.0, 30.0)
    )
    plans: list[Plan] = []
    for form, count in FORMS.items():
        known = {"phrase": sources.phrases, "cut": sources.phrases, "partial": sources.partials}.get(form, [-1])
        plans += [Plan(index=len(plans) + i, form=form, clip=known[i % len(known)]) for i in range(count)]
    took = dict.fromkeys(FORMS, 0.0)
    rendered = []
    started = time.process_time()
    for plan in plans:
        before = time.process_time()
        rendered.append(renderer.render(plan).audio)
        took[plan.form] += time.process_time() - before
    total = time.process_time() - started
    for form, count in FORMS.items():
        print(f"  {form:<10}{took[form] / count * 1e3:7.2f} ms")
    print(f"  {len(plans) / total:.0f} windows of {WINDOW_S} s per core-second")
    return rendered


def features(rendered: list[npt.NDArray[np.int16]]) -> None:
    """Time each front end."""
    torch.set_num_threads(1)
    audio = np.stack(rendered[:128])
    for name in FRONT_ENDS:
        extractor = FeatureExtractor(name)

        def extract(_: int, extractor: FeatureExtractor = extractor) -> object:
            return extractor(audio)

        took_s = cpu_ms(extract, times=2) / 1e3
        print(f"  {name:<18}{len(audio) / took_s:6.0f} windows, {len(audio) * WINDOW_S / 2 / took_s:.0f} clips of 2 s")


def main() -> None:
    """Print three tables."""
    print("effects, per window:")
    effects()
    with tempfile.TemporaryDirectory() as name:
        write_clips(Path(name), clips())
        print("rendering:")
        rendered = windows(Path(name))
    print("features, per core-second:")
    features(rendered)


if __name__ == "__main__":
    main()
