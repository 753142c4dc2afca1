"""The losses are what their formulas say, and rows weigh what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from steps.losses import HardTargets, PoolWeights
from steps.settings import Margin

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 4.0], [-3.0, 8.0]])
LABELS = np.array([0, 1, 0, 1, 1])
ROWS = np.array([1, 3, 2])  # labels 1, 1, 0
Y = torch.tensor([[1.0], [1.0], [0.0]]).expand(3, 2)


def cross_entropy(targets: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(LOGITS, targets, reduction="none")


def test_plain_cross_entropy_of_each_row() -> None:
    torch.testing.assert_close(HardTargets(LABELS, smoothing=0.0)(LOGITS, ROWS), cross_entropy(Y).mean(dim=1))


def test_smoothing_moves_the_targets_to_one_half() -> None:
    """The loss is least where the score is the smoothed target, not at the ends."""
    loss = HardTargets(LABELS, smoothing=0.2)
    torch.testing.assert_close(loss(LOGITS, ROWS), cross_entropy(Y * 0.8 + 0.1).mean(dim=1))
    logits = torch.linspace(-6, 6, 1_201).unsqueeze(1)
    for row, best in ((1, 0.9), (2, 0.1)):
        found = logits[loss(logits, np.full(1_201, row)).argmin()].sigmoid()
        assert float(found) == pytest.approx(best, abs=0.01)


def test_focal_loss_is_that_of_the_paper() -> None:
    p = LOGITS.double().sigmoid()
    p_true = torch.where(Y > 0, p, 1 - p)
    expected = (-((1 - p_true) ** 2) * p_true.log()).mean(dim=1)
    focal = HardTargets(LABELS, smoothing=0.0, focal_gamma=2.0)
    torch.testing.assert_close(focal(LOGITS.double(), ROWS), expected, check_dtype=False)


def test_the_margin_pulls_what_is_on_the_wrong_side_of_it_and_nothing_else() -> None:
    margin = Margin(weight=0.5, margin_pos=3.0, margin_neg=-2.0, logit_reg_weight=0.25, logit_reg_margin=6.0)
    second = HardTargets(LABELS, smoothing=0.1, margin=margin)(LOGITS, ROWS) - HardTargets(LABELS, smoothing=0.1)(
        LOGITS, ROWS
    )
    # of the phrase: 2 and -1, short of 3 by 1 and 4; 0.5 and 4; not the phrase: -3, and 8, 10 over -2 and 2 over 6
    expected = torch.tensor([0.5 * (1 + 16), 0.5 * 2.5**2, 0.5 * 100 + 0.25 * 4]) / 2
    torch.testing.assert_close(second, expected)


def test_weights_of_the_pools() -> None:
    composition = {"positive": 2, "speech": 3, "noise": 0, "neighbour": 1}
    weigh = PoolWeights(composition, neighbour_weight=0.1)
    torch.testing.assert_close(weigh(), torch.tensor([1.0, 1, 1, 1, 1, 0.1]))
    torch.testing.assert_close(weigh(negative_weight=3.0), torch.tensor([1.0, 1, 3, 3, 3, 0.3]))
    assert weigh.is_negative.tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize("bias", [0.75, 0.2])
def test_the_bias_is_the_share_of_what_is_not_the_phrase_whatever_the_batch(bias: float) -> None:
    losses = torch.tensor([1.0, 3.0, 10.0, 20.0, 60.0])
    weighted = losses * PoolWeights({"positive": 2, "speech": 3}, loss_bias=bias)()
    torch.testing.assert_close(weighted.mean(), torch.tensor(bias * 30.0 + (1 - bias) * 2.0))
