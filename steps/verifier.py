"""What the settings ask for as the detector."""

from __future__ import annotations

from models.detector import DetectorConfig
from steps.settings import Settings

__all__ = ["verifier_config"]


def verifier_config(settings: Settings) -> DetectorConfig:
    """Front ends, a network for each head, and how they are fused."""
    frontends, fusion = settings.features.frontends, settings.train.fusion
    networks = tuple(settings.train.network_on(name) for name in frontends)
    return DetectorConfig(
        frontends=frontends,
        networks=networks[:1] if fusion == "joined" else networks,
        members=settings.train.members,
        fusion=fusion,
        logmel=settings.features.logmel.options,
    )
