"""The rows that a training takes, and the mean and deviation of their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from steps.dataset import AdaptiveLossAwareDataset, Source
from steps.feature_rows import feature_rows
from steps.store import RowReader

__all__ = ["dataset", "standardise", "used_rows"]

_STANDARDISE_ROWS: Final = 4_096


def dataset(data: RowReader, frontend: str) -> AdaptiveLossAwareDataset:
    """The rows of a group of the features' store, as a head on some front ends sees them; see `feature_rows`."""
    return AdaptiveLossAwareDataset(
        [Source(features=feature_rows(data, frontend), pools=data["pool"].all(), names=data.attributes["pools"])]
    )


def used_rows(data: RowReader, composition: Mapping[Any, int]) -> npt.NDArray[np.int64]:
    """Rows of the pools that batches take from; what is left out has no part in statistics either.

    Args:
        data: rows with their ``pool``.
        composition: rows of each pool in a batch, by name.
    """
    numbers = [number for number, name in enumerate(data.attributes["pools"]) if composition.get(name)]
    return np.flatnonzero(np.isin(data["pool"].all(), numbers))


def standardise(network: nn.Module, data: RowReader, used: npt.NDArray[np.int64], *, frontend: str, seed: int) -> None:
    """Set a head's ``mean`` and ``deviation`` from a sample of some rows."""
    rng = np.random.default_rng([seed, 2])
    rows = np.sort(used[rng.permutation(len(used))[:_STANDARDISE_ROWS]])
    features = feature_rows(data, frontend)
    frames = features.rows(rows).astype(np.float64).reshape(-1, features.shape[2])
    network.mean = torch.from_numpy(frames.mean(axis=0).astype(np.float32))
    network.deviation = torch.from_numpy((frames.std(axis=0) + 1e-3).astype(np.float32))
