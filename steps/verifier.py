"""What the settings ask for as the detector."""

from __future__ import annotations

from models.detector import DetectorConfig
from steps.settings import Settings, SettledTrain

__all__ = ["verifier_config"]


def verifier_config(settings: Settings, train: SettledTrain) -> DetectorConfig:
    """Front ends, a network for each head, and how they are fused.

    Args:
        settings: all of them.
        train: of the heads, with nothing left to derive.
    """
    frontends, fusion = settings.features.frontends, train.fusion
    networks = tuple(train.network_on(name) for name in frontends)
    return DetectorConfig(
        frontends=frontends,
        networks=networks[:1] if fusion == "joined" else networks,
        members=train.members,
        fusion=fusion,
        logmel=settings.features.logmel.options,
    )
