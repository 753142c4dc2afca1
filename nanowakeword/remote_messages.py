"""What every client of a server writes and reads, however its audio gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nanowakeword.errors import ConfigError
from nanowakeword.remote_server import import_grpc
from nanowakeword.results import Detection

if TYPE_CHECKING:
    from nanowakeword.v1 import wakeword_pb2 as pb

__all__ = ["detect_config", "read_detections"]


def detect_config(
    *,
    models: str | Sequence[str] = (),
    threshold: float | None = None,
    budget_fa_per_hour: float | None = None,
    scores: bool = False,
) -> pb.DetectConfig:
    """What a client wants.

    Args:
        models: name or names of the server's models to run. Empty: its default model.
        threshold: score at which they fire, above 0 and at most 1. None: the server's own.
        budget_fa_per_hour: false accepts per hour to stay within, instead of a threshold.
        scores: whether scores are to come back, too.

    Raises:
        ConfigError: a threshold and a budget are given.
        DependencyError: the extra ``remote`` is not installed.
    """
    if threshold is not None and budget_fa_per_hour is not None:
        raise ConfigError("both threshold and budget_fa_per_hour are given", expected="one of them, or neither")
    _, messages, _ = import_grpc()
    names = (models,) if isinstance(models, str) else models
    config: pb.DetectConfig = messages.DetectConfig(
        models=[
            messages.ModelSelection(name=name, threshold=threshold, budget_fa_per_hour=budget_fa_per_hour)
            for name in names or ("",)  # no name: the default model
        ],
        output=messages.DETECT_OUTPUT_DETECTIONS_AND_SCORES if scores else messages.DETECT_OUTPUT_DETECTIONS,
    )
    return config


def read_detections(response: pb.DetectResponse | pb.DetectFileResponse) -> list[Detection]:
    """The detections in an answer, oldest first."""
    return [
        Detection(phrase=one.phrase, score=one.score, start_s=one.start_s, end_s=one.end_s, model=one.model)
        for one in response.detections
    ]
