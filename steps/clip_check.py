"""Is it the phrase that an engine said? Each clip of it is compared with those of the other engines.

Two clips are compared by dynamic time warping (Sakoe and Chiba, https://doi.org/10.1109/TASSP.1978.1163055) of their
WakeHuBERT frames, 40 ms apart. A clip is doubtful where it is not nearer to the phrase, as others say it, than it is to
anything: from its distance to the nearer ones of the phrase's clips is taken its usual distance to clips of something
else, which is what a rare voice or a slow one adds to both. The clips that it is compared with are of other engines, or
of other voices where one engine is alone, so that an engine that gets a name wrong every time is no witness for itself.

Of 12 clips of "computer" among 1,900 of "alexa", dropping 2 in 100 drops all, of "alexander" 10, of "electra" 3; words
as near as "alexis" are not told from the phrase. The right ones that go with them are the oddest voices of espeak-ng, 5
in 100 of its clips and 1 in 1,000 of the others' (benchmarks/clip_check.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.timing import HOP_SAMPLES, SAMPLE_RATE_HZ
from steps.clippack import Clip

__all__ = ["SpokenClip", "find_doubtful"]

SpokenClip = tuple[Clip, npt.NDArray[np.int16]]
_Frames = npt.NDArray[np.float64]

_FRONT_END: Final = "wakehubert"
_KEPT_FRAME: Final = 2  # of its frames, which are 20 ms apart
_BATCH: Final = 8
_OTHERS: Final = 120
_OTHER_S: Final = 1.5  # longer ones cost time and say no more
_OF_EACH_ENGINE: Final = 12
_NEARER_PERCENT: Final = 10.0
# What a sound may take at normal speed, seconds: engines take 0.06 to 0.17.
_SOUND_S: Final = (0.035, 0.4)
_PAUSE_S: Final = 0.5
_MARKS: Final = "ˈˌː/,.;:!?… "


def find_doubtful(clips: Sequence[SpokenClip], *, phonemes: str, share: float, seed: int) -> list[int]:
    """Clips of the phrase that had better not be trained on.

    Only clips for training and validation are judged: a measurement that leaves out what sounds odd would flatter.

    Args:
        clips: of all kinds.
        phonemes: of the phrase, in IPA.
        share: of the clips judged, how many to name: those least like the phrase, besides those of impossible length.
        seed: of the choice of the clips that others are compared with.

    Returns:
        Places in ``clips``, ascending.
    """
    phrases = [i for i, (clip, _) in enumerate(clips) if clip.kind == "positive"]
    judged = [i for i in phrases if clips[i][0].split in {"train", "validation"}]
    n_sounds = sum(symbol not in _MARKS for symbol in phonemes)
    impossible = [i for i in judged if not _plausible(clips[i][0], n_sounds=n_sounds)]
    left = [i for i in judged if i not in set(impossible)]
    n_dropped = int(share * len(left))
    if not n_dropped:
        return impossible
    others = [
        i
        for i, (clip, _) in enumerate(clips)
        if clip.kind in {"negative", "partial"} and clip.n_samples <= _OTHER_S * SAMPLE_RATE_HZ
    ]
    rng = np.random.default_rng([seed, 0xC11B])
    others = sorted(rng.permutation(others)[:_OTHERS].tolist())
    unlikeness = _unlikeness(clips, left, phrases=_choose(clips, left), others=others)
    worst = np.argsort(-unlikeness, kind="stable")[:n_dropped]
    return sorted([*impossible, *(left[place] for place in worst)])


def _plausible(clip: Clip, *, n_sounds: int) -> bool:
    """Whether a clip can be the phrase, by its length."""
    seconds = clip.n_samples / SAMPLE_RATE_HZ * clip.speed
    return _SOUND_S[0] * n_sounds <= seconds <= _PAUSE_S + _SOUND_S[1] * n_sounds


def _choose(clips: Sequence[SpokenClip], places: Sequence[int]) -> list[int]:
    """A few clips of each engine, from its shortest to its longest, so that fast and slow ones find their like."""
    chosen: list[int] = []
    for engine in sorted({clips[i][0].engine for i in places}):
        own = sorted((i for i in places if clips[i][0].engine == engine), key=lambda i: clips[i][0].n_samples)
        steps = np.linspace(0.02, 0.98, _OF_EACH_ENGINE) * (len(own) - 1)
        chosen += sorted({own[int(step)] for step in steps})
    return chosen


def _unlikeness(
    clips: Sequence[SpokenClip], judged: Sequence[int], *, phrases: Sequence[int], others: Sequence[int]
) -> npt.NDArray[np.float64]:
    """How much less a clip is like the phrase than like other speech, [len(judged)]; higher is worse."""
    from librosa.sequence import dtw

    used = sorted({*judged, *phrases, *others})
    frames = dict(zip(used, _extract([clips[i][1] for i in used]), strict=True))

    def distances(place: int, to: Sequence[int]) -> list[float]:
        costs = [1.0 - frames[place] @ frames[other].T for other in to]
        return [float(dtw(C=cost, backtrack=False)[-1, -1]) / sum(cost.shape) for cost in costs]

    alone = len({clips[i][0].engine for i in phrases}) == 1

    def source(place: int) -> str:
        clip = clips[place][0]
        return clip.voice if alone else clip.engine

    scores = np.zeros(len(judged))
    for number, place in enumerate(judged):
        near = distances(place, [i for i in phrases if i != place and source(i) != source(place)])
        far = distances(place, [i for i in others if source(i) != source(place)])
        if near:
            scores[number] = np.percentile(near, _NEARER_PERCENT) - (np.median(far) if far else 0.0)
    return scores


def _extract(audio: Sequence[npt.NDArray[np.int16]]) -> list[_Frames]:
    """Frames of each clip, [t, f], of length 1, so that their products are cosines."""
    import torch

    from models.frontends.table import build_front_end
    from models.streaming import FrontEnd, settle

    torch.set_num_threads(1)  # its batches are so small that a second thread costs more than it does
    module = build_front_end(_FRONT_END)
    front_end: FrontEnd = module
    past = torch.zeros(1, -(-front_end.receptive_field_samples // HOP_SAMPLES) * HOP_SAMPLES)
    silence = settle(module, past, state_size=front_end.state_size)
    found: list[_Frames] = [np.zeros((0, 0))] * len(audio)
    order = sorted(range(len(audio)), key=lambda i: len(audio[i]))
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            # One hop more, in which the front end hears the end of the word.
            hops = [-(-len(audio[i]) // HOP_SAMPLES) + 1 for i in batch]
            padded = np.zeros((len(batch), max(hops) * HOP_SAMPLES), np.float32)
            for row, i in enumerate(batch):
                padded[row, : len(audio[i])] = audio[i]
            features = module(torch.from_numpy(padded), silence.expand(len(batch), -1))[0].numpy()  # [b, t, f]
            for row, i in enumerate(batch):
                found[i] = features[row, : hops[row] * front_end.frames_per_hop].astype(np.float64)
    every = np.concatenate(found)
    mean, deviation = every.mean(axis=0), every.std(axis=0) + 1e-6
    return [_directions(((clip - mean) / deviation)[::_KEPT_FRAME]) for clip in found]


def _directions(frames: _Frames) -> _Frames:
    """Frames without their mean, which is the voice and the channel, and without their size."""
    centred = frames - frames.mean(axis=0)
    return np.asarray(centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-9))
