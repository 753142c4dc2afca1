"""One stream's messages: what may come when, and how they read. Pure translation, no transport and no models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanowakeword.timing import HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES, MAX_FEATURES_BYTES
from serving.errors import ProtocolError
from serving.models import Selection, ServedModel
from serving.readers import payload_name
from serving.session import Heard, Session

__all__ = [
    "StreamConfig",
    "add_scores",
    "read_config",
    "write_detections",
    "write_heard",
    "write_model",
    "write_models",
    "write_opened",
]

_WITH_DETECTIONS: Final = (
    pb.DETECT_OUTPUT_UNSPECIFIED,
    pb.DETECT_OUTPUT_DETECTIONS,
    pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES,
)
_WITH_SCORES: Final = (pb.DETECT_OUTPUT_SCORES, pb.DETECT_OUTPUT_DETECTIONS_AND_SCORES)
_LONGEST_PRE_ROLL_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """What the first message of a stream asks for.

    Attributes:
        selections: the models; empty: the default one.
        detections: whether detections are to come back.
        scores: whether scores are.
        verifier_only: whether features will come, and not audio; never for a file.
        made_by: front ends that make the features; empty: not told.
        pre_roll_hops: hops at the beginning that nothing is to be said about.
        encoding: of the audio.
    """

    selections: Sequence[Selection]
    detections: bool
    scores: bool
    verifier_only: bool
    made_by: Sequence[str]
    pre_roll_hops: int
    encoding: pb.AudioEncoding


def read_config(request: pb.DetectRequest | pb.DetectFileRequest | None) -> StreamConfig:
    """Read the first message of a stream or of a file; None where there is none.

    Raises:
        ProtocolError: it is no configuration, or asks for something that this version does not know.
    """
    if request is None:
        raise ProtocolError("the stream ended before it began", expected="config, then audio")
    if request.WhichOneof("payload") != "config":
        raise ProtocolError(
            "the first message of a stream configures it",
            got=payload_name(request),
            expected="config",
            hint="Send config, empty for the default model, then audio",
        )
    config = request.config
    _check_known("output", config.output, pb.DetectOutput)
    _check_known("pipeline", config.pipeline, pb.Pipeline)
    _check_known("encoding", config.encoding, pb.AudioEncoding)
    if not 0.0 <= config.pre_roll_s <= _LONGEST_PRE_ROLL_S:
        raise ProtocolError("bad pre_roll_s", got=config.pre_roll_s, expected=f"0 to {_LONGEST_PRE_ROLL_S:g} seconds")
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
        detections=config.output in _WITH_DETECTIONS,
        scores=config.output in _WITH_SCORES,
        verifier_only=isinstance(request, pb.DetectRequest) and config.pipeline == pb.PIPELINE_VERIFIER_ONLY,
        made_by=tuple(config.front_ends),
        pre_roll_hops=round(config.pre_roll_s * SAMPLE_RATE_HZ) // HOP_SAMPLES,
        encoding=config.encoding or pb.AUDIO_ENCODING_PCM_S16LE,
    )


def write_heard(
    heard: Heard, *, config: StreamConfig, warnings: Sequence[pb.StreamWarning] = ()
) -> pb.DetectResponse | None:
    """The answer to what was heard; None where there is nothing to say."""
    # Filled in place: a message that is made on its own and then taken into another one is made twice.
    response = pb.DetectResponse(processed_samples=heard.processed_samples)
    if heard.detections:
        response.detections.extend(write_detections(heard, config=config))
    add_scores(response.scores, heard, config=config)
    if warnings:
        response.warnings.extend(warnings)
    return response if response.detections or response.scores or response.warnings else None


def write_detections(heard: Heard, *, config: StreamConfig) -> list[pb.Detection]:
    """The detections among what was heard, where the client wants them."""
    if not (config.detections and heard.detections):
        return []
    return [
        pb.Detection(
            model=detection.model,
            phrase=detection.phrase,
            score=detection.score,
            start_s=detection.start_s,
            end_s=detection.end_s,
        )
        for detection in heard.detections
    ]


def add_scores(tracks: Any, heard: Heard, *, config: StreamConfig) -> None:
    """Add the scores among what was heard, without those of the pre-roll, where the client wants them.

    Args:
        tracks: the field ``scores`` of a message; gets a track of each model.
        heard: what was heard.
        config: what the client wants.
    """
    if not config.scores:
        return
    first = max(heard.first_hop, config.pre_roll_hops)
    for model, scores in heard.scores.items():
        if len(scores) > first - heard.first_hop:
            tracks.add(model=model, start_s=first * HOP_S, values=scores[first - heard.first_hop :].tolist())


def write_opened(session: Session) -> pb.DetectResponse:
    """The first answer on a stream: what runs, and where it fires."""
    return pb.DetectResponse(
        opened=pb.StreamOpened(
            models=write_models(session), max_audio_bytes=MAX_AUDIO_BYTES, max_features_bytes=MAX_FEATURES_BYTES
        )
    )


def write_models(session: Session) -> list[pb.OpenedModel]:
    """The models of a stream, and where they fire."""
    return [pb.OpenedModel(name=name, threshold=threshold) for name, threshold in session.thresholds.items()]


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


def _check_known(what: str, value: int, enum: Any) -> None:
    if value not in enum.values():
        raise ProtocolError(f"unknown {what}", got=value, expected=", ".join(enum.keys()))
