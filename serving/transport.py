"""What gRPC is told, so that a connection costs little and does not stay for nothing.

Each of these was seen to work with gRPC 1.85 (tests/serving/test_hostile.py); others that sound as if they would were
not, and are not here: ``grpc.keepalive_timeout_ms`` alone closes nothing.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Final

from serving.config import MAX_MESSAGE_BYTES, ServerConfig

__all__ = ["Patience", "channel_options"]

_MAX_METADATA_BYTES: Final = 8 * 1024
# A proxy carries many microphones over one connection, and opens another one when it is full.
_MAX_STREAMS_PER_CONNECTION: Final = 256
# Files for models, logs, keys, and the connections of Wyoming and metrics.
_FILES_KEPT_FREE: Final = 128


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a connection may take, or do what no good client does, seconds.

    Attributes:
        handshake_s: to shake hands, TLS and HTTP/2 together.
        first_message_s: to send the one message of a call that has one.
        idle_s: to stay without a call.
        ping_every_s: between two questions whether the other side is still there.
        ping_s: to answer one.
    """

    handshake_s: float = 10.0
    first_message_s: float = 10.0
    idle_s: float = 60.0
    ping_every_s: float = 30.0
    ping_s: float = 20.0


def channel_options(config: ServerConfig, patience: Patience) -> list[tuple[str, int]]:
    """Arguments for ``grpc.aio.server``."""

    def milliseconds(seconds: float) -> int:
        return round(seconds * 1_000)

    return [
        # Two servers on one port would share its clients by chance: a second one has to fail. Workers are one server.
        ("grpc.so_reuseport", int(config.workers > 1)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # Above the limit that gRPC has by itself, and below this one, calls are refused by chance: the two are equal.
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        # Flow-control windows stay at 64 KiB, 2 s of audio: what may wait here for one stream is bounded.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_concurrent_streams", _MAX_STREAMS_PER_CONNECTION),
        ("grpc.max_allowed_incoming_connections", _max_connections()),
        ("grpc.server_handshake_timeout_ms", milliseconds(patience.handshake_s)),
        ("grpc.max_connection_idle_ms", milliseconds(patience.idle_s)),
        ("grpc.keepalive_time_ms", milliseconds(patience.ping_every_s)),
        ("grpc.http2.ping_timeout_ms", milliseconds(patience.ping_s)),
        # Clients may ask, too, though not more often than this; gRPC would allow it each five minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", milliseconds(patience.ping_every_s / 3)),
    ]


def _max_connections() -> int:
    """As many as this process may have files open: with more, it could not even read a key file any more."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, min(files, 1_000_000) - _FILES_KEPT_FREE)
