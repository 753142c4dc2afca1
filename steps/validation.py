"""How good a head is on windows of voices that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from models.streaming import Head
from steps.store import RowReader

__all__ = ["Validation", "score_rows", "validate"]

# Windows are not a stream: this share only ranks candidates. What a user is told comes from streaming, in `evaluate`.
NEGATIVE_SHARE: Final = 0.002
_BATCH: Final = 1_024


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Result on the validation windows.

    Attributes:
        miss_rate: share of positive windows under the threshold that lets `NEGATIVE_SHARE` of the negatives pass.
        loss: binary cross-entropy, both classes weighing the same.
    """

    miss_rate: float
    loss: float

    def to_json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {"miss_rate": round(self.miss_rate, 6), "validation_loss": round(self.loss, 6)}


@torch.no_grad()
def score_rows(head: Head, data: RowReader, *, frontend: str) -> npt.NDArray[np.float32]:
    """Logit of each row, averaged over the members, float32 ``[n]``; the head is put into evaluation mode."""
    cast(nn.Module, head).eval()
    array = data[frontend]
    logits = []
    for start in range(0, len(array), _BATCH):
        features = array.rows(np.arange(start, min(start + _BATCH, len(array))))
        window = features[:, features.shape[1] - head.window_frames :].astype(np.float32)
        logits.append(head.score_window(torch.from_numpy(window)).mean(dim=1).numpy())
    return np.concatenate(logits) if logits else np.zeros(0, np.float32)


def rate(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.integer]) -> Validation:
    """Miss rate and loss of logits."""
    positive, negative = logits[labels == 1], logits[labels == 0]
    threshold = np.quantile(negative, 1.0 - NEGATIVE_SHARE)
    losses = F.softplus(torch.from_numpy(np.where(labels == 1, -logits, logits))).numpy()
    loss = (losses[labels == 1].mean() + losses[labels == 0].mean()) / 2
    return Validation(miss_rate=float((positive <= threshold).mean()), loss=float(loss))


def validate(head: Head, data: RowReader, *, frontend: str) -> Validation:
    """Score all validation rows with a head and rate them."""
    return rate(score_rows(head, data, frontend=frontend), data["label"].all())
