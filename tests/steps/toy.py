"""A small workspace: clips of tones in place of speech, by voices of every split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from nanowakeword.timing import SAMPLE_RATE_HZ
from steps.clippack import Clip, Kind, Split, write_clips

PHRASE_HZ = 1_000.0
REPOSITORY = Path(__file__).parents[2]


def tone(seconds: float, hertz: float = PHRASE_HZ, *, level: float = 0.5) -> npt.NDArray[np.float32]:
    """A steady tone, so that every part of it has the same energy."""
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2.0 * np.pi * hertz * time)).astype(np.float32)


def clips(
    *, each: int = 4, phrase_s: float = 0.7, neighbours: bool = False
) -> Iterator[tuple[Clip, npt.NDArray[np.int16]]]:
    """Clips of every kind in every split; lengths and pitches differ."""
    splits: tuple[Split, ...] = ("train", "validation", "calibration", "test")
    lengths: dict[Kind, float] = {"positive": phrase_s, "partial": 0.3, "negative": 1.5}
    if neighbours:
        lengths["neighbour"] = 0.6
    for split in splits:
        for kind, seconds in lengths.items():
            for i in range(each):
                hertz = PHRASE_HZ if kind == "positive" else 300.0 + 37.0 * i
                samples = (tone(seconds + 0.05 * i, hertz) * 32767).astype(np.int16)
                clip = Clip(
                    kind=kind,
                    text="hey nano",
                    engine="toy",
                    voice=f"{split} {i % 2}",
                    split=split,
                    speed=1.0,
                    licence="CC0-1.0",
                    n_samples=len(samples),
                )
                yield clip, samples


def workspace(root: Path, changes: dict[str, dict[str, Any]], **toy: Any) -> Path:
    """A folder with the repository's settings, some of them changed, and finished stages synthesize and corpus."""
    yaml = YAML()
    settings = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    for section, values in changes.items():
        settings[section].update(values)
    root.mkdir(parents=True, exist_ok=True)
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(settings, stream)
    for name in ("synthesize", "corpus"):
        (root / "artifacts" / name).mkdir(parents=True, exist_ok=True)
    write_clips(root / "artifacts" / "synthesize", clips(**toy))
    (root / "artifacts" / "corpus" / "recordings.jsonl").touch()
    return root
