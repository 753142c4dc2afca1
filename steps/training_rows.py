"""The rows that a training takes, their labels, and the mean and deviation of their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.streaming import Head
from steps.dataset import AdaptiveLossAwareDataset, Source
from steps.feature_rows import feature_rows
from steps.store import RowReader

__all__ = ["dataset", "row_labels", "standardise", "used_rows"]

_STANDARDISE_ROWS: Final = 4_096
_POSITIVE: Final = "positive"


def dataset(data: RowReader, frontend: str, more: Sequence[Source] = ()) -> AdaptiveLossAwareDataset:
    """The rows of a group of the features' store, as a head on some front ends sees them, and others after them.

    Args:
        data: the group.
        frontend: name of the features, see `feature_rows`.
        more: other rows of the same front end, see `steps.npy_sources`.
    """
    stored = Source(features=feature_rows(data, frontend), pools=data["pool"].all(), names=data.attributes["pools"])
    return AdaptiveLossAwareDataset([stored, *more])


def row_labels(data: RowReader, more: Sequence[Source] = ()) -> npt.NDArray[np.int8]:
    """Labels of the rows of `dataset`, 1 for the phrase, ``[n]``; each of ``more`` is of one pool, which says its."""
    added = [np.full(source.features.shape[0], source.pools == _POSITIVE, np.int8) for source in more]
    return np.concatenate([data["label"].all(), *added])


def used_rows(data: AdaptiveLossAwareDataset, composition: Mapping[Any, int]) -> npt.NDArray[np.int64]:
    """Rows of the pools that batches take from; what is left out has no part in statistics either.

    Args:
        data: all rows.
        composition: rows of each pool in a batch, by name.
    """
    numbers = [number for number, name in enumerate(data.pools) if composition.get(name)]
    return np.flatnonzero(np.isin(data.pool_of(np.arange(len(data))), numbers))


def standardise(head: Head, data: AdaptiveLossAwareDataset, used: npt.NDArray[np.int64], *, seed: int) -> None:
    """Set a head's ``mean`` and ``deviation`` from a sample of some rows."""
    rng = np.random.default_rng([seed, 2])
    rows = np.sort(used[rng.permutation(len(used))[:_STANDARDISE_ROWS]])
    features = data.rows(rows, frames=data.frames).numpy().astype(np.float64)
    frames = features.reshape(-1, features.shape[2])
    network = cast(nn.Module, head)
    network.mean = torch.from_numpy(frames.mean(axis=0).astype(np.float32))
    network.deviation = torch.from_numpy((frames.std(axis=0) + 1e-3).astype(np.float32))
