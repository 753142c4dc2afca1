"""What the server is told at its start, checked whole before anything is loaded."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "MAX_AUDIO_BYTES",
    "MAX_FEATURES_BYTES",
    "MAX_MESSAGE_BYTES",
    "PIPELINES",
    "ServerConfig",
]

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8765
PIPELINES: Final = ("full", "verifier_only")
# 2.05 s of audio in one message: a file client needs no more, and one message keeps an inference thread busy for a few
# milliseconds only.
MAX_AUDIO_BYTES: Final = 64 * 1024
# 2.1 s of the default detector's features.
MAX_FEATURES_BYTES: Final = 64 * 1024
# The transport refuses larger ones unread; between the two limits a client gets our message, which names its limit.
MAX_MESSAGE_BYTES: Final = 4 * MAX_AUDIO_BYTES


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Settings of one server.

    Attributes:
        models: model files; the first is the default model.
        pipeline: ``full`` takes audio only, ``verifier_only`` features only; None: what the model files allow.
        host: address to listen on, a loopback one.
        port: 0 takes a free one.
        threshold: score at which every model fires unless a stream says otherwise; None: each model's own.
        threads: inference threads, each running one stream at a time.
        drain_s: how long open streams may go on after the server was told to stop.

    Raises:
        ConfigError: a value is out of range, or the address can be reached from other machines.
    """

    models: tuple[Path, ...]
    pipeline: str | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    threshold: float | None = None
    threads: int = os.cpu_count() or 1
    drain_s: float = 5.0

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigError("no model to serve", hint="Name at least one: --model M.onnx")
        if self.pipeline is not None and self.pipeline not in PIPELINES:
            raise ConfigError("bad pipeline", got=repr(self.pipeline), expected=" or ".join(PIPELINES))
        if not _is_loopback(self.host):
            raise ConfigError(
                "refusing to listen where other machines can connect",
                got=f"host {self.host!r}",
                expected="a loopback address such as 127.0.0.1 or ::1",
                hint="This version has neither TLS nor keys, so anyone could send audio and read detections. "
                "Keep the default host and put a proxy that authenticates in front of it",
            )
        if not 0 <= self.port <= 65_535:
            raise ConfigError("bad port", got=self.port, expected="0 (any free one) to 65535")
        if self.threshold is not None and not 0.0 < self.threshold <= 1.0:
            raise ConfigError("bad threshold", got=self.threshold, expected="above 0 and at most 1")
        if self.threads < 1:
            raise ConfigError("bad number of threads", got=self.threads, expected="1 or more")
        if not 0.0 <= self.drain_s < float("inf"):
            raise ConfigError("bad drain time", got=self.drain_s, expected="0 seconds or more")

    @property
    def address(self) -> str:
        """``host:port`` as gRPC writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches; a name other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
