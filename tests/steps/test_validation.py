"""Validation hears what a listener would: the streaming form, hop by hop, false accepts once an utterance."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.frontends.table import FRONT_ENDS
from models.streaming import Head
from nanowakeword.timing import HOP_S
from steps.store import RowReader, RowWriter
from steps.validation import Streamed, fuse, rate, stored_hops, stream, validate
from tests.steps.toy_features import write_features

FRONT_END = "speech_embedding"
HOPS = FRONT_ENDS[FRONT_END].context_frames // FRONT_ENDS[FRONT_END].frames_per_hop


class Delay(nn.Module):
    """Repeats, as its logit, the first value of the frame two hops ago; its state are the two frames' values."""

    window_frames, state_size = 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        line = torch.cat([state, features[:, :, 0]], dim=1)
        return line[:, :-2], line[:, -2:]

    def score_window(self, features: Tensor) -> Tensor:
        return features[:, :1, 0]


def write_rows(folder: Path, values: np.ndarray[tuple[int, int], np.dtype[np.float64]], labels: list[int]) -> RowReader:
    """A store in which the first feature of row ``i`` at hop ``k`` is ``values[i, k]``."""
    features = np.zeros((len(labels), HOPS, FRONT_ENDS[FRONT_END].n_features), np.float16)
    features[:, :, 0] = values
    with RowWriter(folder) as store:
        store.append(f"validation/{FRONT_END}", features)
        store.append("validation/label", np.array(labels, np.int8))
    return RowReader(folder / "validation")


def test_windows_are_heard_one_after_the_other(tmp_path: Path) -> None:
    """Each hop of each window comes out once, two hops late: across the borders of windows, lanes and calls."""
    n = 200
    values = np.arange(n * HOPS).reshape(n, HOPS) / 8.0  # exact in float16 up to 256
    labels = [1 if i % 5 == 0 else 0 for i in range(n)]
    data = write_rows(tmp_path / "store", values % 256.0, labels)
    head = cast(Head, Delay())
    streamed = stream(head, data, frontend=FRONT_END, hops=HOPS)
    negative = (values % 256.0)[[i for i in range(n) if i % 5]]
    lanes = len(streamed.negatives)
    windows = np.resize(negative, (lanes, streamed.negatives.shape[1]))
    assert streamed.negatives.size >= negative.size
    circle = np.concatenate([windows[-1:, -2:], windows[:-1, -2:]])
    np.testing.assert_array_equal(streamed.negatives, np.concatenate([circle, windows[:, :-2]], axis=1))

    positive = (values % 256.0)[::5]
    assert streamed.positives.shape == (40, HOPS + 6)
    np.testing.assert_array_equal(streamed.positives[:, 2 : HOPS + 2], positive)
    np.testing.assert_array_equal(streamed.windows, (values % 256.0)[:, -3])

    short = stream(head, data, frontend=FRONT_END, hops=10)
    np.testing.assert_array_equal(short.positives[:, 2:12], positive[:, -10:])


def streamed(negatives: list[list[float]], peaks: list[float]) -> Streamed:
    positives = np.full((len(peaks), 3), -9.0)
    positives[:, 1] = peaks
    windows = np.array([*peaks, -3.0])
    return Streamed(negatives=np.array(negatives), positives=positives, windows=windows)


def test_misses_are_counted_at_the_budget_of_false_accepts() -> None:
    hops = round(3600 / HOP_S)  # an hour, in which three utterances reach 3, 1 and -1, the first for half a second
    line = np.full(hops, -5.0)
    line[1_000:1_006] = [1.0, 3.0, 2.0, 3.0, 1.0, 0.0]
    line[20_000], line[40_000] = 1.0, -1.0
    one = streamed([line.tolist()], [4.0, 2.0, 0.0, -2.0])
    labels = np.array([1, 1, 1, 1, 0])
    misses = [rate(one, labels, fa_per_hour=budget).miss_rate for budget in (0.9, 1.0, 2.5, 3.0)]
    assert misses == [0.75, 0.5, 0.25, 0.0]
    result = rate(one, labels, fa_per_hour=1.0)
    assert result.fa_per_hour == pytest.approx(2.0, rel=1e-3)
    assert (result.positive_logit, result.negative_logit) == (1.0, -3.0)
    softplus = np.log1p(np.exp(-np.array([4.0, 2.0, 0.0, -2.0]))).mean()
    assert result.loss == pytest.approx((softplus + np.log1p(np.exp(-3.0))) / 2)


def test_a_budget_that_no_threshold_keeps_misses_everything() -> None:
    result = rate(streamed([[60.0] * 100], [70.0]), np.array([1, 0]), fa_per_hour=1.0)
    assert result.miss_rate == 1.0


def test_fewer_misses_come_first_and_then_less_loss() -> None:
    quiet = [[-5.0] * 100]
    labels = np.array([1, 1, 0])
    ranks = [
        rate(streamed(quiet, peaks), labels, fa_per_hour=1.0).rank for peaks in ([9.0, 9.0], [2.0, 2.0], [9.0, -6.0])
    ]
    assert ranks == sorted(ranks)


def test_heads_are_averaged_hop_by_hop_by_their_weights() -> None:
    many = [streamed([[0.0, 4.0]], [1.0]), streamed([[2.0, 0.0]], [5.0])]
    both = fuse(many, np.array([0.5, 0.5]))
    np.testing.assert_array_equal(both.negatives, [[1.0, 2.0]])
    np.testing.assert_array_equal(both.positives, [[-9.0, 3.0, -9.0]])
    np.testing.assert_array_equal(fuse(many, np.array([0.75, 0.25])).negatives, [[0.5, 3.0]])


def test_hops_that_all_front_ends_have_stored(tmp_path: Path) -> None:
    write_features(tmp_path / "store", frontends=(FRONT_END, "wakehubert", "logmel"), rows=3)
    data = RowReader(tmp_path / "store" / "train")
    assert stored_hops(data, [FRONT_END]) == HOPS
    assert stored_hops(data, ["wakehubert", "logmel"]) == 20
    assert stored_hops(data, [FRONT_END, "wakehubert", "logmel"]) == 16


def test_a_head_is_rated_by_its_stream(tmp_path: Path) -> None:
    """A head that fires in the middle of every positive window, and at the end of none, misses nothing."""
    values = np.full((60, HOPS), -6.0)
    values[:20, 5] = 6.0
    data = write_rows(tmp_path / "store", values, [1] * 20 + [0] * 40)
    result = validate(cast(Head, Delay()), data, frontend=FRONT_END, fa_per_hour=1.0)
    assert result.miss_rate == 0.0
    assert result.fa_per_hour == 0.0
    assert result.positive_logit == -6.0
