"""The gate's threshold, and what it passes and costs.

A gate is worth what the detector hears behind it, so that is what is counted: a clip is passed if the detector still
accepts it in `nanowakeword.standby`, which runs it on hops that the gate wants, for a while after and a little before.
The threshold is the highest, and so the one of the least duty cycle, that passes 99.5 % of what the detector alone
accepts of the calibration recordings. All is computed from the scores of both models of the same audio.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nanowakeword.evaluation.limits import share
from nanowakeword.evaluation.scoring import Scores, clip_hops
from nanowakeword.standby import HOLD_S, LOOKBACK_S
from nanowakeword.timing import HOP_S
from steps.heard import Heard

__all__ = ["choose_threshold", "measure_gate", "run_hops", "wake_scores"]

# One clip of so many that the detector accepts may be lost: 99.5 % are passed.
_LOST_OF: Final = 200
_LOWEST: Final = 1e-4  # a gate of threshold 0 would be none
_HOLD_HOPS: Final = round(HOLD_S / HOP_S)
_LOOKBACK_HOPS: Final = round(LOOKBACK_S / HOP_S)

Wakes = npt.NDArray[np.float64]


def measure_gate(
    calibration: tuple[Heard, Heard],
    test: tuple[Heard, Heard],
    *,
    threshold: float,
    context_hops: int,
    tail_s: float,
) -> dict[str, Any]:
    """Set the gate's threshold on one split, and measure it on both.

    Args:
        calibration: scores of the detector and of the gate, of the same streams.
        test: likewise, of other recordings.
        threshold: of the detector.
        context_hops: past hops that can change a score of the detector, for what catching up costs.
        tail_s: seconds after a clip in which it may still be accepted.

    Returns:
        ``threshold`` of the gate, ``verifier_threshold``, and for ``calibration`` and ``test``: ``passed`` of what the
        detector accepts (a rate with exact limits for each condition, and ``all``; None where it accepts nothing), and
        ``duty``, for each kind of audio and ``all``: ``hours``, ``open`` (share of the hops that reach the gate's
        threshold) and ``runs`` (hops that the detector runs for each that is heard, holding and catching up included).
    """
    wakes = _wakes_by_condition(*calibration, threshold=threshold, tail_s=tail_s)
    if not any(len(found) for found in wakes.values()):  # of a detector that accepts nothing, everything is passed
        wakes = _wakes_by_condition(*calibration, threshold=0.0, tail_s=tail_s)
    gate_threshold = choose_threshold(np.concatenate(list(wakes.values())))

    return {
        "threshold": gate_threshold,
        "verifier_threshold": threshold,
        **{
            split: {
                "passed": _passed(_wakes_by_condition(*heard, threshold=threshold, tail_s=tail_s), gate_threshold),
                "duty": _duty(heard[1], threshold=gate_threshold, context_hops=context_hops),
            }
            for split, heard in {"calibration": calibration, "test": test}.items()
        },
    }


def choose_threshold(wakes: Wakes) -> float:
    """The highest threshold that loses at most one in 200, rounded down, of ``wakes``, ``[n]``, ``n >= 1``."""
    return max(float(np.sort(wakes)[len(wakes) // _LOST_OF]), _LOWEST)


def wake_scores(verifier: Scores, gate: Scores, *, threshold: float, tail_s: float) -> Wakes:
    """Highest threshold of the gate at which each clip that the verifier accepts is still accepted behind it.

    Args:
        verifier: its scores of recordings of the phrase.
        gate: its scores of the same streams.
        threshold: of the verifier.
        tail_s: seconds after a clip in which it may still be accepted.

    Returns:
        ``[number of accepted clips]``.
    """
    found = []
    for mine, its in zip(verifier.streams, gate.streams, strict=True):
        # A hop is judged if the gate wants one of those from the hold before it to the lookback after it.
        padded = np.pad(its.scores, (_HOLD_HOPS, _LOOKBACK_HOPS))
        wake = np.lib.stride_tricks.sliding_window_view(padded, _HOLD_HOPS + 1 + _LOOKBACK_HOPS).max(axis=1)
        for place in mine.placements:
            hops = clip_hops(place, tail_s=tail_s)
            accepted = mine.scores[hops] >= threshold
            if accepted.any():
                found.append(float(wake[hops][accepted].max()))
    return np.array(found, np.float64)


def run_hops(is_open: npt.NDArray[np.bool_], *, context_hops: int) -> npt.NDArray[np.int64]:
    """Hops that the verifier runs at each hop of a stream, ``[k]``: 0 asleep, 1 awake, more when it catches up."""
    k = np.arange(len(is_open))
    last_wish = np.maximum.accumulate(np.where(is_open, k, -_HOLD_HOPS - 1))
    awake = k - last_wish <= _HOLD_HOPS
    last_run = np.maximum.accumulate(np.where(awake, k, -1))
    missed = k - 1 - np.concatenate([[-1], last_run])[:-1]  # hops since the last that it heard, none while awake
    return np.where(awake, 1 + np.minimum(missed, context_hops + _LOOKBACK_HOPS), 0)


def _wakes_by_condition(verifier: Heard, gate: Heard, *, threshold: float, tail_s: float) -> dict[str, Wakes]:
    return {
        name: wake_scores(scores, gate.clips[name], threshold=threshold, tail_s=tail_s)
        for name, scores in verifier.clips.items()
    }


def _passed(wakes: Mapping[str, Wakes], threshold: float) -> dict[str, Any]:
    every = {**wakes, "all": np.concatenate(list(wakes.values()))}
    return {
        name: asdict(share(int((found >= threshold).sum()), len(found))) if len(found) else None
        for name, found in every.items()
    }


def _duty(gate: Heard, *, threshold: float, context_hops: int) -> dict[str, Any]:
    """Shares of the hops of recordings; the gaps between them are left out."""
    found: defaultdict[str, list[npt.NDArray[np.int64]]] = defaultdict(list)
    for stream in gate.negatives.streams:
        is_open = stream.scores >= threshold
        both = np.stack([is_open, run_hops(is_open, context_hops=context_hops)])
        for place in stream.placements:
            part = both[:, clip_hops(place, tail_s=0.0)]
            for kind in (gate.kinds[place.index], "all"):
                found[kind].append(part)
    joined = {kind: np.concatenate(parts, axis=1) for kind, parts in sorted(found.items())}
    return {
        kind: {
            "hours": round(hops.shape[1] * HOP_S / 3600, 3),
            "open": round(float(hops[0].mean()), 5),
            "runs": round(float(hops[1].mean()), 5),
        }
        for kind, hops in joined.items()
    }
