"""Real recordings as the frozen front ends hear them: computed once, then scored by any number of heads in seconds.

The streams are those of the stage evaluate: the same recordings, gaps and babble. Only the heads differ between the
models that are compared, so the front ends' features are kept, as float16, which moves a score by less than 0.01.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch

from models.detector import Detector, DetectorConfig
from models.heads_only import HeadsOnly
from nanowakeword.evaluation.babble import Babble
from nanowakeword.evaluation.experiment import TAIL_S
from nanowakeword.evaluation.recordings import LeftOut, Recording
from nanowakeword.evaluation.scoring import Scores, StreamScores
from nanowakeword.evaluation.streams import Placement, join
from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from steps.material import find_material
from steps.settings import Settings, load_settings

__all__ = ["CONDITIONS", "SPLITS", "hear", "hear_workspace", "hearing_detector", "score", "write_features"]

SPLITS: Final = ("calibration", "test")
CONDITIONS: Final = ("clean", "babble", "other")
_NEGATIVE_GAP_S: Final = 0.5
_POSITIVE_GAP_S: Final = 2.0
_RUN_HOPS: Final = 50


@torch.inference_mode()
def hear(folder: Path, *, settings: Settings, clips: Path, corpus: Path) -> None:
    """Write the features of the recordings of both splits in each condition, unless they are there.

    Args:
        folder: to be made.
        settings: of the workspace; its front ends and the stage evaluate's conditions.
        clips: folder of the stage synthesize.
        corpus: folder of the stage corpus.
    """
    if folder.is_dir():
        return
    working = folder.with_name(f".{folder.name}.working")
    shutil.rmtree(working, ignore_errors=True)
    detector = hearing_detector(settings)
    gap_s = max(_POSITIVE_GAP_S, TAIL_S, settings.evaluate.tail_s, detector.receptive_field_samples / SAMPLE_RATE_HZ)
    for split in SPLITS:
        material = find_material(split, phrase=settings.wakeword.phrase, clips=clips, corpus=corpus)
        babble = Babble(material.talkers, snr_db=settings.evaluate.babble_snr_db, seed=settings.seed)
        for condition, recordings in zip(
            CONDITIONS, (material.positives, material.positives, material.negatives), strict=True
        ):
            print(f"hearing {len(recordings)} recordings, {split}, {condition}", flush=True)
            write_features(
                working / split / condition,
                recordings,
                detector,
                gap_s=_NEGATIVE_GAP_S if condition == "other" else gap_s,
                babble=babble if condition == "babble" else None,
                seed=settings.seed,
            )
    working.rename(folder)


def hearing_detector(settings: Settings) -> Detector:
    """A detector with the front ends of the settings; what its heads say means nothing."""
    frontends, train = settings.features.frontends, settings.train
    config = DetectorConfig(
        frontends=frontends,
        networks=(train.choose(train.architecture, "small"),) * len(frontends),
        members=1,
        logmel=settings.features.logmel.options,
    )
    detector = Detector(config)
    detector.settle_silence()
    return detector


def hear_workspace(workspace: Path, out: Path) -> Path:
    """`hear` a workspace's recordings, with its own settings and seed: all models that OUT compares hear the same.

    Returns:
        The folder, ``out/heard``.
    """
    stages, settings = workspace / "artifacts", load_settings(workspace / "params.yaml")
    hear(out / "heard", settings=settings, clips=stages / "synthesize", corpus=stages / "corpus")
    return out / "heard"


@torch.inference_mode()
def score(folder: Path, detector: Detector) -> Scores:
    """Scores of the recordings of one split in one condition.

    Args:
        folder: that `hear` wrote, then split, then condition.
        detector: with the front ends that they were heard with.
    """
    heads = HeadsOnly(detector)
    streams: list[StreamScores] = []
    for facts in json.loads((folder / "streams.json").read_text("utf-8")):
        features = torch.from_numpy(np.load(folder / facts["file"], allow_pickle=False).astype(np.float32))
        values, _ = heads(features[None], torch.zeros(1, heads.state_size))
        places = tuple(Placement(**place) for place in facts["placements"])
        streams.append(StreamScores(scores=values[0].numpy(), placements=places))
    seconds = sum(place.stop - place.start for stream in streams for place in stream.placements) / SAMPLE_RATE_HZ
    return Scores(
        streams=tuple(streams),
        n_recordings=sum(len(stream.placements) for stream in streams),
        seconds=seconds,
        left_out=(),
    )


def write_features(
    folder: Path, recordings: Sequence[Recording], detector: Detector, *, gap_s: float, babble: Babble | None, seed: int
) -> None:
    """What `Detector` hands out of each stream, ``[hops, sum of r*f]`` or ``[hops*r, f]``, and what lies where."""
    folder.mkdir(parents=True)
    left_out: list[LeftOut] = []
    streams = []
    for joined in join(recordings, gap_s=gap_s, seed=seed, leave_out=left_out.append):
        audio = torch.from_numpy((babble.mix(joined) if babble else joined).audio)[None]
        state, parts = torch.zeros(1, detector.state_size), []
        for start in range(0, audio.shape[1], _RUN_HOPS * HOP_SAMPLES):
            _, state, features = detector(audio[:, start : start + _RUN_HOPS * HOP_SAMPLES], state)
            parts.append(features[0].numpy().astype(np.float16))
        file = f"{joined.number:04d}.npy"
        np.save(folder / file, np.concatenate(parts), allow_pickle=False)
        streams.append({"file": file, "placements": [asdict(place) for place in joined.placements]})
    (folder / "streams.json").write_text(json.dumps(streams) + "\n", encoding="utf-8")
    for item in left_out:
        print(f"left out {item.name}: {item.reason}")
