"""How good a head is on voices that it was not trained on, heard as it will be heard: as a stream.

The validation windows are laid end to end and go through the head's streaming form. False accepts are counted as
everywhere, with a second of refractory time; a positive, between other windows, is heard if the score reaches the
threshold within it or up to half a second later. What a user is told comes from whole recordings through the exported
model, in `evaluate`: this only ranks weights, on less than an hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import expit
from torch import Tensor, nn

from models.detector import Detector
from models.streaming import Head
from nanowakeword.evaluation import FalseAccepts, Scores, StreamScores
from nanowakeword.postfilter import REFRACTORY_S
from nanowakeword.timing import HOP_S
from steps.end_to_end import EndToEnd
from steps.feature_rows import AUDIO, feature_rows, frame_form, input_name
from steps.store import RowReader

__all__ = [
    "Streamed",
    "Validation",
    "fuse",
    "rate",
    "score_detector",
    "score_rows",
    "stored_hops",
    "stream",
    "stream_detector",
    "validate",
]

_BATCH: Final = 1_024
_LANES: Final = 64
_TAIL_HOPS: Final = 6  # 0.48 s

Logits = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """Logits of the validation windows, streamed and each by itself.

    Attributes:
        negatives: of hops without the phrase, ``[lanes, k]``: each lane a stream.
        positives: of the hops of each positive and the half second after it, ``[n, k]``.
        windows: at the end of each window by itself, ``[n]``.
    """

    negatives: Logits
    positives: Logits
    windows: Logits


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Result on the validation windows.

    Attributes:
        miss_rate: share of positives that are missed at the lowest threshold within the budget of false accepts.
        fa_per_hour: false accepts per hour at score 0.5, logit 0.
        loss: binary cross-entropy of the windows, both classes weighing the same.
        positive_logit: mean over the windows of the phrase.
        negative_logit: mean over the other windows.
    """

    miss_rate: float
    fa_per_hour: float
    loss: float
    positive_logit: float
    negative_logit: float

    @property
    def rank(self) -> tuple[float, float]:
        """Less is better."""
        return self.miss_rate, round(self.loss, 3)

    def to_json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "miss_rate": round(self.miss_rate, 6),
            "fa_per_hour": round(self.fa_per_hour, 3),
            "validation_loss": round(self.loss, 6),
            "positive_logit": round(self.positive_logit, 4),
            "negative_logit": round(self.negative_logit, 4),
        }


def stored_hops(data: RowReader, frontends: Iterable[str]) -> int:
    """Hops of a window that all of these front ends have stored."""
    forms = [frame_form(data, name) for name in frontends]
    return min(form.context_frames // form.frames_per_hop for form in forms)


def validate(head: Head, data: RowReader, *, frontend: str, fa_per_hour: float) -> Validation:
    """Stream all validation windows through a head and rate it."""
    streamed = stream(head, data, frontend=frontend, hops=stored_hops(data, [frontend]))
    return rate(streamed, data["label"].all(), fa_per_hour=fa_per_hour)


def stream_detector(detector: Detector, data: RowReader, *, hops: int) -> list[Streamed]:
    """What each head of a detector says of all windows, for `fuse`; arguments as of `stream`.

    Of features, which are those of front ends as their packages have them, or of windows, through its own front ends.
    """
    return [stream(head, data, frontend=name, hops=hops) for name, head in _heads(detector, data)]


def score_detector(detector: Detector, data: RowReader) -> npt.NDArray[np.float32]:
    """The fused logit of each row of features or of windows, float32 ``[n]``."""
    logits = [score_rows(head, data, frontend=name) for name, head in _heads(detector, data)]
    return _mean(logits, detector.weights.numpy()).astype(np.float32)


@torch.no_grad()
def stream(head: Head, data: RowReader, *, frontend: str, hops: int) -> Streamed:
    """Logits of all windows; the head is put into evaluation mode.

    Args:
        head: on any device.
        data: rows of the split, with their labels.
        frontend: the features to use.
        hops: last hops of each window that are laid end to end.
    """
    windows = score_rows(head, data, frontend=frontend)
    labels = data["label"].all()
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)

    def feed(rows: npt.NDArray[np.int64], state: Tensor, *, n_hops: int = hops) -> tuple[Logits, Tensor]:
        logits, following = head(_frames(head, data, frontend, rows, hops=hops, first=n_hops), state)
        return logits.float().cpu().numpy(), following

    # Lanes are pieces of one circle of windows; each begins with the window before its piece, which is not counted.
    lanes = min(_LANES, len(negatives))
    circle = np.resize(negatives, (lanes, -(-len(negatives) // lanes)))
    before = np.roll(circle[:, -1], 1)
    state = torch.zeros(lanes, head.state_size, device=_device(head))
    heard = []
    for column in (before, *circle.T):
        logits, state = feed(column, state)
        heard.append(logits)
    around = np.resize(negatives, len(positives))
    spoken = []
    for start in range(0, len(positives), _BATCH):
        part = slice(start, start + _BATCH)
        _, state = feed(around[part], torch.zeros(len(around[part]), head.state_size, device=_device(head)))
        within, state = feed(positives[part], state)
        after, _ = feed(np.roll(around, 1)[part], state, n_hops=_TAIL_HOPS)
        spoken.append(np.concatenate([within, after], axis=1))
    return Streamed(negatives=np.concatenate(heard[1:], axis=1), positives=np.concatenate(spoken), windows=windows)


def fuse(many: Sequence[Streamed], weights: Logits) -> Streamed:
    """Weighted average of several heads that were streamed over as many hops; the weights' sum is 1."""
    return Streamed(
        negatives=_mean([one.negatives for one in many], weights),
        positives=_mean([one.positives for one in many], weights),
        windows=_mean([one.windows for one in many], weights),
    )


def rate(streamed: Streamed, labels: npt.NDArray[np.integer], *, fa_per_hour: float) -> Validation:
    """What the logits are worth.

    Args:
        streamed: of the validation windows.
        labels: of these, ``[n]``.
        fa_per_hour: budget of false accepts for the miss rate.
    """
    lanes = [StreamScores(scores=expit(lane.astype(np.float64)), placements=()) for lane in streamed.negatives]
    scores = Scores(streams=tuple(lanes), n_recordings=len(lanes), seconds=streamed.negatives.size * HOP_S, left_out=())
    false_accepts = FalseAccepts(scores, refractory_s=REFRACTORY_S)
    threshold = false_accepts.lowest_threshold(int(fa_per_hour * false_accepts.hours))
    peaks = expit(streamed.positives.max(axis=1).astype(np.float64))
    logits = streamed.windows
    losses = F.softplus(torch.from_numpy(np.where(labels == 1, -logits, logits))).numpy()
    return Validation(
        miss_rate=1.0 if threshold is None else float((peaks < threshold).mean()),
        fa_per_hour=false_accepts.count(0.5) / false_accepts.hours,
        loss=float((losses[labels == 1].mean() + losses[labels == 0].mean()) / 2),
        positive_logit=float(logits[labels == 1].mean()),
        negative_logit=float(logits[labels == 0].mean()),
    )


@torch.no_grad()
def score_rows(head: Head, data: RowReader, *, frontend: str) -> npt.NDArray[np.float32]:
    """Logit of each row, averaged over the members, float32 ``[n]``; the head is put into evaluation mode."""
    cast(nn.Module, head).eval()
    array = feature_rows(data, frontend)
    logits = []
    for start in range(0, array.shape[0], _BATCH):
        features = array.rows(np.arange(start, min(start + _BATCH, array.shape[0])))
        window = features[:, -head.window_frames :].astype(np.float32)
        scores = head.score_window(torch.from_numpy(window).to(_device(head)))
        logits.append(scores.mean(dim=1).float().cpu().numpy())
    return np.concatenate(logits) if logits else np.zeros(0, np.float32)


def _heads(detector: Detector, data: RowReader) -> list[tuple[str, Head]]:
    """Each head, with what it listens to; of windows together with its front ends."""
    if AUDIO in data:
        return [(AUDIO, EndToEnd(detector, number)) for number in range(len(detector.heads))]
    named = zip(detector.config.inputs, detector.heads, strict=True)
    return [(input_name(names), cast(Head, head)) for names, head in named]


def _frames(
    head: Head, data: RowReader, frontend: str, rows: npt.NDArray[np.int64], *, hops: int, first: int
) -> Tensor:
    """The first of the last hops of some windows, float32 ``[b, first * r, f]``."""
    per_hop = frame_form(data, frontend).frames_per_hop
    features = torch.from_numpy(feature_rows(data, frontend).rows(rows)[:, -hops * per_hop :][:, : first * per_hop])
    return features.to(_device(head), torch.float32)


def _mean(many: Sequence[Logits], weights: Logits) -> Logits:
    mean: Logits = np.average(many, axis=0, weights=weights)
    return mean


def _device(head: Head) -> torch.device:
    return next(cast(nn.Module, head).parameters()).device
