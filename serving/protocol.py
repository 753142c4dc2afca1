"""One stream's messages: what may come when, and how they read. Pure translation, no transport and no models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nanowakeword.timing import HOP_S, SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES, MAX_FEATURES_BYTES
from serving.errors import ProtocolError
from serving.models import Selection, ServedModel
from serving.readers import payload_name
from serving.session import Heard, Session

__all__ = [
    "StreamConfig",
    "draining_warning",
    "gap_warning",
    "read_config",
    "write_heard",
    "write_model",
    "write_opened",
]

_KNOWN_OUTPUTS: Final = frozenset(pb.DetectOutput.values())
_KNOWN_PIPELINES: Final = frozenset(pb.Pipeline.values())


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """What the first message of a stream asks for.

    Attributes:
        selections: the models; empty: the default one.
        output: what is to come back.
        verifier_only: whether features will come, and not audio.
        made_by: front ends that make the features; empty: not told.
    """

    selections: Sequence[Selection]
    output: pb.DetectOutput
    verifier_only: bool
    made_by: Sequence[str]


def read_config(request: pb.DetectRequest) -> StreamConfig:
    """Read the first message of a stream.

    Raises:
        ProtocolError: it is no configuration, or asks for something that this version does not know.
    """
    if request.WhichOneof("payload") != "config":
        raise ProtocolError(
            "the first message of a stream configures it",
            got=payload_name(request),
            expected="config",
            hint="Send DetectRequest.config, empty for the default model, then audio",
        )
    config = request.config
    if config.output not in _KNOWN_OUTPUTS:
        raise ProtocolError("unknown output", got=config.output, expected=", ".join(pb.DetectOutput.keys()))
    if config.pipeline not in _KNOWN_PIPELINES:
        raise ProtocolError("unknown pipeline", got=config.pipeline, expected=", ".join(pb.Pipeline.keys()))
    selections = [
        Selection(
            name=model.name,
            threshold=model.threshold if model.HasField("threshold") else None,
            budget_fa_per_hour=model.budget_fa_per_hour if model.HasField("budget_fa_per_hour") else None,
        )
        for model in config.models
    ]
    return StreamConfig(
        selections=selections,
        output=config.output,
        verifier_only=config.pipeline == pb.PIPELINE_VERIFIER_ONLY,
        made_by=tuple(config.front_ends),
    )


def write_heard(
    heard: Heard, *, output: pb.DetectOutput, warnings: Sequence[pb.StreamWarning] = ()
) -> pb.DetectResponse | None:
    """The answer to what was heard; None where there is nothing to say."""
    response = pb.DetectResponse(processed_samples=heard.processed_samples, warnings=warnings)
    if output != pb.DETECT_OUTPUT_SCORES:
        response.detections.extend(
            pb.Detection(
                model=detection.model,
                phrase=detection.phrase,
                score=detection.score,
                start_s=detection.start_s,
                end_s=detection.end_s,
            )
            for detection in heard.detections
        )
    if output in (pb.DETECT_OUTPUT_SCORES, pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES):
        response.scores.extend(
            pb.ScoreTrack(model=model, start_s=heard.first_hop * HOP_S, values=scores)
            for model, scores in heard.scores.items()
            if len(scores)
        )
    return response if response.detections or response.scores or response.warnings else None


def write_opened(session: Session) -> pb.DetectResponse:
    """The first answer on a stream: what runs, and where it fires."""
    models = [pb.OpenedModel(name=name, threshold=threshold) for name, threshold in session.thresholds.items()]
    return pb.DetectResponse(
        opened=pb.StreamOpened(models=models, max_audio_bytes=MAX_AUDIO_BYTES, max_features_bytes=MAX_FEATURES_BYTES)
    )


def write_model(model: ServedModel, *, is_default: bool) -> pb.ModelInfo:
    """What clients are told of a model."""
    card = model.card
    pipelines, features = [], None
    if model.graph is not None:
        pipelines.append(pb.PIPELINE_FULL)
    if model.heads is not None:
        pipelines.append(pb.PIPELINE_VERIFIER_ONLY)
        rows, width = model.heads.feature_shape
        features = pb.FeatureFormat(front_ends=model.front_ends, rows_per_hop=rows, width=width)
    return pb.ModelInfo(
        name=card.name,
        phrase=card.phrase,
        language=card.language,
        kind=card.kind,
        is_default=is_default,
        threshold=model.threshold,
        thresholds=[
            pb.BudgetThreshold(fa_per_hour=row.fa_per_hour, threshold=row.threshold, hours=row.hours, basis=row.basis)
            for row in card.thresholds
        ],
        sample_rate_hz=SAMPLE_RATE_HZ,
        hop_samples=card.hop_samples,
        receptive_field_samples=card.receptive_field_samples,
        state_size=card.state_size,
        card_json=json.dumps(card.content, ensure_ascii=False),
        pipelines=pipelines,
        features=features,
    )


def gap_warning(missing: int, *, at_s: float) -> pb.StreamWarning:
    """Warning that ``missing`` messages were left out at ``at_s`` seconds."""
    return pb.StreamWarning(
        kind=pb.WARNING_KIND_GAP,
        text=f"{missing} messages are missing; what came on both sides was joined",
        at_s=at_s,
        missing_messages=missing,
    )


def draining_warning(*, at_s: float) -> pb.StreamWarning:
    """Warning that the server is about to stop."""
    return pb.StreamWarning(kind=pb.WARNING_KIND_DRAINING, text="the server is about to stop; connect again", at_s=at_s)
