from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AudioEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIO_ENCODING_UNSPECIFIED: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_S16LE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_OPUS: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_FLAC: _ClassVar[AudioEncoding]

class Pipeline(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PIPELINE_UNSPECIFIED: _ClassVar[Pipeline]
    PIPELINE_FULL: _ClassVar[Pipeline]
    PIPELINE_VERIFIER_ONLY: _ClassVar[Pipeline]

class DetectOutput(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DETECT_OUTPUT_UNSPECIFIED: _ClassVar[DetectOutput]
    DETECT_OUTPUT_DETECTIONS: _ClassVar[DetectOutput]
    DETECT_OUTPUT_SCORES: _ClassVar[DetectOutput]
    DETECT_OUTPUT_DETECTIONS_AND_SCORES: _ClassVar[DetectOutput]

class WarningKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WARNING_KIND_UNSPECIFIED: _ClassVar[WarningKind]
    WARNING_KIND_GAP: _ClassVar[WarningKind]
    WARNING_KIND_DRAINING: _ClassVar[WarningKind]
    WARNING_KIND_OVERLOAD: _ClassVar[WarningKind]
    WARNING_KIND_CREDENTIALS_EXPIRE: _ClassVar[WarningKind]
    WARNING_KIND_MODEL_REPLACED: _ClassVar[WarningKind]
AUDIO_ENCODING_UNSPECIFIED: AudioEncoding
AUDIO_ENCODING_PCM_S16LE: AudioEncoding
AUDIO_ENCODING_OPUS: AudioEncoding
AUDIO_ENCODING_FLAC: AudioEncoding
PIPELINE_UNSPECIFIED: Pipeline
PIPELINE_FULL: Pipeline
PIPELINE_VERIFIER_ONLY: Pipeline
DETECT_OUTPUT_UNSPECIFIED: DetectOutput
DETECT_OUTPUT_DETECTIONS: DetectOutput
DETECT_OUTPUT_SCORES: DetectOutput
DETECT_OUTPUT_DETECTIONS_AND_SCORES: DetectOutput
WARNING_KIND_UNSPECIFIED: WarningKind
WARNING_KIND_GAP: WarningKind
WARNING_KIND_DRAINING: WarningKind
WARNING_KIND_OVERLOAD: WarningKind
WARNING_KIND_CREDENTIALS_EXPIRE: WarningKind
WARNING_KIND_MODEL_REPLACED: WarningKind

class DetectRequest(_message.Message):
    __slots__ = ("config", "audio", "features")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    config: DetectConfig
    audio: AudioChunk
    features: FeatureChunk
    def __init__(self, config: _Optional[_Union[DetectConfig, _Mapping]] = ..., audio: _Optional[_Union[AudioChunk, _Mapping]] = ..., features: _Optional[_Union[FeatureChunk, _Mapping]] = ...) -> None: ...

class DetectConfig(_message.Message):
    __slots__ = ("models", "output", "pipeline", "front_ends", "pre_roll_s", "encoding")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    FRONT_ENDS_FIELD_NUMBER: _ClassVar[int]
    PRE_ROLL_S_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSelection]
    output: DetectOutput
    pipeline: Pipeline
    front_ends: _containers.RepeatedScalarFieldContainer[str]
    pre_roll_s: float
    encoding: AudioEncoding
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSelection, _Mapping]]] = ..., output: _Optional[_Union[DetectOutput, str]] = ..., pipeline: _Optional[_Union[Pipeline, str]] = ..., front_ends: _Optional[_Iterable[str]] = ..., pre_roll_s: _Optional[float] = ..., encoding: _Optional[_Union[AudioEncoding, str]] = ...) -> None: ...

class ModelSelection(_message.Message):
    __slots__ = ("name", "threshold", "budget_fa_per_hour")
    NAME_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FA_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    name: str
    threshold: float
    budget_fa_per_hour: float
    def __init__(self, name: _Optional[str] = ..., threshold: _Optional[float] = ..., budget_fa_per_hour: _Optional[float] = ...) -> None: ...

class AudioChunk(_message.Message):
    __slots__ = ("sequence", "pcm_s16le", "opus_packet", "flac")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PCM_S16LE_FIELD_NUMBER: _ClassVar[int]
    OPUS_PACKET_FIELD_NUMBER: _ClassVar[int]
    FLAC_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    pcm_s16le: bytes
    opus_packet: bytes
    flac: bytes
    def __init__(self, sequence: _Optional[int] = ..., pcm_s16le: _Optional[bytes] = ..., opus_packet: _Optional[bytes] = ..., flac: _Optional[bytes] = ...) -> None: ...

class FeatureChunk(_message.Message):
    __slots__ = ("sequence", "rows", "f32le")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    F32LE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    rows: int
    f32le: bytes
    def __init__(self, sequence: _Optional[int] = ..., rows: _Optional[int] = ..., f32le: _Optional[bytes] = ...) -> None: ...

class DetectResponse(_message.Message):
    __slots__ = ("processed_samples", "opened", "detections", "scores", "warnings")
    PROCESSED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    processed_samples: int
    opened: StreamOpened
    detections: _containers.RepeatedCompositeFieldContainer[Detection]
    scores: _containers.RepeatedCompositeFieldContainer[ScoreTrack]
    warnings: _containers.RepeatedCompositeFieldContainer[StreamWarning]
    def __init__(self, processed_samples: _Optional[int] = ..., opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., detections: _Optional[_Iterable[_Union[Detection, _Mapping]]] = ..., scores: _Optional[_Iterable[_Union[ScoreTrack, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[StreamWarning, _Mapping]]] = ...) -> None: ...

class StreamOpened(_message.Message):
    __slots__ = ("models", "max_audio_bytes", "max_features_bytes")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_BYTES_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[OpenedModel]
    max_audio_bytes: int
    max_features_bytes: int
    def __init__(self, models: _Optional[_Iterable[_Union[OpenedModel, _Mapping]]] = ..., max_audio_bytes: _Optional[int] = ..., max_features_bytes: _Optional[int] = ...) -> None: ...

class OpenedModel(_message.Message):
    __slots__ = ("name", "threshold")
    NAME_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    threshold: float
    def __init__(self, name: _Optional[str] = ..., threshold: _Optional[float] = ...) -> None: ...

class Detection(_message.Message):
    __slots__ = ("model", "phrase", "score", "start_s", "end_s")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PHRASE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    START_S_FIELD_NUMBER: _ClassVar[int]
    END_S_FIELD_NUMBER: _ClassVar[int]
    model: str
    phrase: str
    score: float
    start_s: float
    end_s: float
    def __init__(self, model: _Optional[str] = ..., phrase: _Optional[str] = ..., score: _Optional[float] = ..., start_s: _Optional[float] = ..., end_s: _Optional[float] = ...) -> None: ...

class ScoreTrack(_message.Message):
    __slots__ = ("model", "start_s", "values")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    START_S_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    model: str
    start_s: float
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, model: _Optional[str] = ..., start_s: _Optional[float] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamWarning(_message.Message):
    __slots__ = ("kind", "text", "at_s", "missing_messages")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AT_S_FIELD_NUMBER: _ClassVar[int]
    MISSING_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    kind: WarningKind
    text: str
    at_s: float
    missing_messages: int
    def __init__(self, kind: _Optional[_Union[WarningKind, str]] = ..., text: _Optional[str] = ..., at_s: _Optional[float] = ..., missing_messages: _Optional[int] = ...) -> None: ...

class DetectFileRequest(_message.Message):
    __slots__ = ("config", "data")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    config: DetectConfig
    data: bytes
    def __init__(self, config: _Optional[_Union[DetectConfig, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class DetectFileResponse(_message.Message):
    __slots__ = ("duration_s", "detections", "scores", "models")
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    duration_s: float
    detections: _containers.RepeatedCompositeFieldContainer[Detection]
    scores: _containers.RepeatedCompositeFieldContainer[ScoreTrack]
    models: _containers.RepeatedCompositeFieldContainer[OpenedModel]
    def __init__(self, duration_s: _Optional[float] = ..., detections: _Optional[_Iterable[_Union[Detection, _Mapping]]] = ..., scores: _Optional[_Iterable[_Union[ScoreTrack, _Mapping]]] = ..., models: _Optional[_Iterable[_Union[OpenedModel, _Mapping]]] = ...) -> None: ...

class IssueTokenRequest(_message.Message):
    __slots__ = ("ttl_s",)
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    ttl_s: float
    def __init__(self, ttl_s: _Optional[float] = ...) -> None: ...

class IssueTokenResponse(_message.Message):
    __slots__ = ("token", "token_id", "expires_at_s")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    token: str
    token_id: str
    expires_at_s: float
    def __init__(self, token: _Optional[str] = ..., token_id: _Optional[str] = ..., expires_at_s: _Optional[float] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("token", "token_id")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    token: str
    token_id: str
    def __init__(self, token: _Optional[str] = ..., token_id: _Optional[str] = ...) -> None: ...

class RevokeTokenResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("name", "phrase", "language", "kind", "is_default", "threshold", "thresholds", "sample_rate_hz", "hop_samples", "receptive_field_samples", "state_size", "card_json", "pipelines", "features")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PHRASE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    HOP_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    RECEPTIVE_FIELD_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    STATE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CARD_JSON_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    phrase: str
    language: str
    kind: str
    is_default: bool
    threshold: float
    thresholds: _containers.RepeatedCompositeFieldContainer[BudgetThreshold]
    sample_rate_hz: int
    hop_samples: int
    receptive_field_samples: int
    state_size: int
    card_json: str
    pipelines: _containers.RepeatedScalarFieldContainer[Pipeline]
    features: FeatureFormat
    def __init__(self, name: _Optional[str] = ..., phrase: _Optional[str] = ..., language: _Optional[str] = ..., kind: _Optional[str] = ..., is_default: _Optional[bool] = ..., threshold: _Optional[float] = ..., thresholds: _Optional[_Iterable[_Union[BudgetThreshold, _Mapping]]] = ..., sample_rate_hz: _Optional[int] = ..., hop_samples: _Optional[int] = ..., receptive_field_samples: _Optional[int] = ..., state_size: _Optional[int] = ..., card_json: _Optional[str] = ..., pipelines: _Optional[_Iterable[_Union[Pipeline, str]]] = ..., features: _Optional[_Union[FeatureFormat, _Mapping]] = ...) -> None: ...

class FeatureFormat(_message.Message):
    __slots__ = ("front_ends", "rows_per_hop", "width")
    FRONT_ENDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_HOP_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    front_ends: _containers.RepeatedScalarFieldContainer[str]
    rows_per_hop: int
    width: int
    def __init__(self, front_ends: _Optional[_Iterable[str]] = ..., rows_per_hop: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class BudgetThreshold(_message.Message):
    __slots__ = ("fa_per_hour", "threshold", "hours", "basis")
    FA_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    fa_per_hour: float
    threshold: float
    hours: float
    basis: str
    def __init__(self, fa_per_hour: _Optional[float] = ..., threshold: _Optional[float] = ..., hours: _Optional[float] = ..., basis: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("server_version", "onnxruntime_version", "grpc_version", "protocols", "max_audio_bytes", "open_streams", "max_file_bytes", "encodings", "issues_tokens", "idle_timeout_s")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ONNXRUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    GRPC_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOLS_FIELD_NUMBER: _ClassVar[int]
    MAX_AUDIO_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_STREAMS_FIELD_NUMBER: _ClassVar[int]
    MAX_FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENCODINGS_FIELD_NUMBER: _ClassVar[int]
    ISSUES_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    onnxruntime_version: str
    grpc_version: str
    protocols: _containers.RepeatedScalarFieldContainer[str]
    max_audio_bytes: int
    open_streams: int
    max_file_bytes: int
    encodings: _containers.RepeatedScalarFieldContainer[AudioEncoding]
    issues_tokens: bool
    idle_timeout_s: float
    def __init__(self, server_version: _Optional[str] = ..., onnxruntime_version: _Optional[str] = ..., grpc_version: _Optional[str] = ..., protocols: _Optional[_Iterable[str]] = ..., max_audio_bytes: _Optional[int] = ..., open_streams: _Optional[int] = ..., max_file_bytes: _Optional[int] = ..., encodings: _Optional[_Iterable[_Union[AudioEncoding, str]]] = ..., issues_tokens: _Optional[bool] = ..., idle_timeout_s: _Optional[float] = ...) -> None: ...
