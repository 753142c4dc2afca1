"""One stream's messages: what may come when, and how they read. Pure translation, no transport and no models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np

from nanowakeword.arrays import Samples
from nanowakeword.timing import HOP_S, SAMPLE_RATE_HZ
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.config import MAX_AUDIO_BYTES
from serving.engine import Heard, Selection, ServedModel, Session
from serving.errors import ProtocolError

__all__ = [
    "AudioReader",
    "draining_warning",
    "gap_warning",
    "read_config",
    "write_heard",
    "write_model",
    "write_opened",
]

_SAMPLE_BYTES: Final = 2
_KNOWN_OUTPUTS: Final = frozenset(pb.DetectOutput.values())


def read_config(request: pb.DetectRequest) -> tuple[list[Selection], pb.DetectOutput]:
    """The models and the output that the first message of a stream asks for.

    Raises:
        ProtocolError: it is no configuration, or asks for an output that this version does not know.
    """
    if request.WhichOneof("payload") != "config":
        raise ProtocolError(
            "the first message of a stream configures it",
            got=_payload(request),
            expected="config",
            hint="Send DetectRequest.config, empty for the default model, then audio",
        )
    config = request.config
    if config.output not in _KNOWN_OUTPUTS:
        raise ProtocolError("unknown output", got=config.output, expected=", ".join(pb.DetectOutput.keys()))
    selections = [
        Selection(
            name=model.name,
            threshold=model.threshold if model.HasField("threshold") else None,
            budget_fa_per_hour=model.budget_fa_per_hour if model.HasField("budget_fa_per_hour") else None,
        )
        for model in config.models
    ]
    return selections, config.output


class AudioReader:
    """Reads the audio messages of one stream and counts them."""

    def __init__(self) -> None:
        self._next_sequence = 0

    def read(self, request: pb.DetectRequest) -> tuple[Samples, int]:
        """Samples ``[n]`` of a message, a view of its bytes, and how many messages are missing before it.

        Raises:
            ProtocolError: it carries no audio, an odd number of bytes or too many, or a number used before.
        """
        if request.WhichOneof("payload") != "audio":
            raise ProtocolError(
                "after the configuration a stream carries audio", got=_payload(request), expected="audio"
            )
        chunk = request.audio
        if not chunk.HasField("pcm_s16le"):
            raise ProtocolError("an audio message without samples", expected="pcm_s16le to be set")
        size = len(chunk.pcm_s16le)
        if size > MAX_AUDIO_BYTES:
            raise ProtocolError(
                "too much audio in one message",
                got=f"{size} bytes",
                expected=f"at most {MAX_AUDIO_BYTES} bytes ({MAX_AUDIO_BYTES // _SAMPLE_BYTES / SAMPLE_RATE_HZ:.2f} s)",
                hint="Send it in several messages",
            )
        if size % _SAMPLE_BYTES:
            raise ProtocolError(
                "half a sample in an audio message",
                got=f"{size} bytes",
                expected="an even number: 16-bit little-endian samples",
            )
        missing = self._count(chunk)
        return np.frombuffer(chunk.pcm_s16le, dtype="<i2").astype(np.int16, copy=False), missing

    def _count(self, chunk: pb.AudioChunk) -> int:
        sequence = chunk.sequence if chunk.HasField("sequence") else self._next_sequence
        missing = sequence - self._next_sequence
        if missing < 0:
            raise ProtocolError(
                "audio messages out of order", got=f"sequence {sequence}", expected=f"{self._next_sequence} or more"
            )
        self._next_sequence = sequence + 1
        return missing


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
    return pb.DetectResponse(opened=pb.StreamOpened(models=models, max_audio_bytes=MAX_AUDIO_BYTES))


def write_model(model: ServedModel, *, is_default: bool) -> pb.ModelInfo:
    """What clients are told of a model."""
    card = model.graph.card
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
    )


def gap_warning(missing: int, *, at_s: float) -> pb.StreamWarning:
    """Warning that ``missing`` audio messages were left out at ``at_s`` seconds."""
    return pb.StreamWarning(
        kind=pb.WARNING_KIND_GAP,
        text=f"{missing} audio messages are missing; the audio on both sides was joined",
        at_s=at_s,
        missing_messages=missing,
    )


def draining_warning(*, at_s: float) -> pb.StreamWarning:
    """Warning that the server is about to stop."""
    return pb.StreamWarning(kind=pb.WARNING_KIND_DRAINING, text="the server is about to stop; connect again", at_s=at_s)


def _payload(request: pb.DetectRequest) -> str:
    return request.WhichOneof("payload") or "nothing that this version knows"
