"""What the server is told at its start, checked whole before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from serving.checks import check
from serving.key_ring import ApiKey
from serving.tls import TlsFiles

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "MAX_AUDIO_BYTES",
    "MAX_FEATURES_BYTES",
    "MAX_MESSAGE_BYTES",
    "ServerConfig",
]

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8765
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
        model_dir: folder whose ``*.onnx`` are served, too, as they come and go.
        pipeline: ``full`` takes audio only, ``verifier_only`` features only; None: what the model files allow.
        host: address to listen on. One that other machines reach needs TLS and credentials, or `insecure`.
        port: 0 takes a free one.
        threshold: score at which every model fires unless a stream says otherwise; None: each model's own.
        threads: inference threads of each worker.
        workers: processes that share the port.
        drain_s: how long open streams may go on after the server was told to stop.
        max_batch: most streams judged in one run of a model; 1: each alone.
        max_streams: most streams of one worker; None: as many as the measured cost of the models allows.
        idle_timeout_s: a stream without a message for so long is ended; 0: never.
        max_file_bytes: largest file that DetectFile takes.
        api_keys: keys that stand in the environment or on the command line, by hash.
        api_key_file: file of names and hashes of keys (``python -m serving.keys``), read again when it changes.
        enable_tokens: whether callers with a key or a certificate may ask for tokens.
        token_ttl: longest life of a token, seconds.
        token_key_file: file of the secret that signs tokens, so that they outlive a restart; None: a random one.
        rate_limit: calls of one identity, and of one address, per window; None: any number.
        rate_limit_audio_s: seconds of audio of one identity, and of one address, per window; None: any number.
        rate_window: the window, seconds.
        ban_duration: how long an address is refused after too many wrong credentials or calls; 0: never.
        ip_allowlist: networks (CIDR) that may call; empty: all.
        trusted_proxies: networks (CIDR) whose ``x-forwarded-for`` is believed.
        open_health: whether the health ``Check`` answers without credentials to any address, not only to this machine.
        ssl_certfile: PEM file of the server's certificate and the chain above it; with `ssl_keyfile`.
        ssl_keyfile: PEM file of its key, without a password.
        ssl_ca_certs: PEM file of authorities; given, every client has to show a certificate of theirs.
        max_connections: most streams open at a time, over all workers; None: any number.
        max_connections_per_identity: most of one identity; None: any number.
        insecure: accept an address that other machines reach without TLS or without credentials.
        capture_dir: folder that keeps what was heard; None: nothing is kept.
        capture_max_mb: size of that folder, 10^6 bytes; the oldest recordings go first.
        capture_near_miss: whether to keep near misses, too.
        metrics: ``host:port`` of the page for Prometheus; None: none.
        log_format: ``text`` or ``json``.
        log_level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        audit_log: file that authentication events are appended to; None: the log.
        trace: address of an OTLP collector; None: no traces.
        wyoming: where to serve the Wyoming protocol, such as ``tcp://127.0.0.1:10400``; None: nowhere.
        zeroconf: name to announce the Wyoming service by; None: it is not announced.

    Raises:
        ConfigError: values are wrong, files cannot be read, or the server would be open by mistake; it names them all.
    """

    models: tuple[Path, ...] = ()
    model_dir: Path | None = None
    pipeline: str | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    threshold: float | None = None
    threads: int = 1
    workers: int = 1
    drain_s: float = 5.0
    max_batch: int = 32
    max_streams: int | None = None
    idle_timeout_s: float = 60.0
    max_file_bytes: int = 64 * 1024 * 1024
    api_keys: tuple[ApiKey, ...] = field(default=(), repr=False)
    api_key_file: Path | None = None
    enable_tokens: bool = False
    token_ttl: float = 3600.0
    token_key_file: Path | None = None
    rate_limit: int | None = None
    rate_limit_audio_s: float | None = None
    rate_window: float = 60.0
    ban_duration: float = 300.0
    ip_allowlist: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    open_health: bool = False
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_ca_certs: Path | None = None
    max_connections: int | None = None
    max_connections_per_identity: int | None = None
    insecure: bool = False
    capture_dir: Path | None = None
    capture_max_mb: float = 500.0
    capture_near_miss: bool = True
    metrics: str | None = None
    log_format: str = "text"
    log_level: str = "INFO"
    audit_log: Path | None = None
    trace: str | None = None
    wyoming: str | None = None
    zeroconf: str | None = None

    def __post_init__(self) -> None:
        check(self)

    @property
    def address(self) -> str:
        """``host:port`` as gRPC writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def tls(self) -> TlsFiles | None:
        """Certificate, key and authorities; None without TLS."""
        if self.ssl_certfile is None or self.ssl_keyfile is None:
            return None
        return TlsFiles(certificate=self.ssl_certfile, key=self.ssl_keyfile, authorities=self.ssl_ca_certs)

    @property
    def has_keys(self) -> bool:
        """Whether callers are known by API keys."""
        return bool(self.api_keys) or self.api_key_file is not None

    @property
    def asks_for_credentials(self) -> bool:
        """Whether callers have to prove who they are."""
        return self.has_keys or self.ssl_ca_certs is not None
