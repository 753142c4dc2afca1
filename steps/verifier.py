"""What the settings ask for as the detector."""

from __future__ import annotations

from collections.abc import Mapping

from models.detector import DetectorConfig
from models.sizes import SizeName
from steps.automatic import choose_size
from steps.derived import Derived
from steps.settings import Settings

__all__ = ["verifier_config"]


def verifier_config(settings: Settings, rows: Mapping[str, int]) -> tuple[DetectorConfig, list[Derived[SizeName]]]:
    """Front ends, a network for each head, and how they are fused.

    Args:
        settings: all of them.
        rows: of each pool there are to train on, see `steps.automatic_training.count_rows`.

    Returns:
        The detector's, and sizes of networks where they were derived.
    """
    frontends, train = settings.features.frontends, settings.train
    # Joined front ends have one head, as large as that on the first would be.
    heads = frontends[:1] if train.fusion == "joined" else frontends
    if train.size == "auto":
        derived = [choose_size(name, rows["positive"]) for name in heads]
        sizes = [found.value for found in derived]
    else:
        derived, sizes = [], [train.size] * len(heads)
    config = DetectorConfig(
        frontends=frontends,
        networks=tuple(train.network_on(name, size) for name, size in zip(heads, sizes, strict=True)),
        members=train.members,
        fusion=train.fusion,
        logmel=settings.features.logmel.options,
    )
    return config, derived
