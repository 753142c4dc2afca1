"""The table of settings that people can give: names, how they are read, and what they are for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.config import DEFAULT_HOST, DEFAULT_PORT

__all__ = ["OPTIONS", "PREFIX", "Option"]

PREFIX: Final = "NANOWAKEWORD_"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("text")


def _path(value: Any) -> Path:
    if isinstance(value, str) and value:
        return Path(value)
    raise ValueError("a path")


def _whole(value: Any) -> int:
    try:
        if isinstance(value, str):
            return int(value)
    except ValueError:
        pass
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("a whole number")


def _number(value: Any) -> float:
    try:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    raise ValueError("a number")


def _limit(value: Any) -> int | None:
    """A number of things; 0 is no limit."""
    return _whole(value) or None


def _limit_s(value: Any) -> float | None:
    """Seconds; 0 is no limit."""
    return _number(value) or None


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("true or false")


@dataclass(frozen=True)
class Option:
    """One setting.

    Attributes:
        name: of the flag, without dashes in front; the variable and the key of the file are made of it.
        field: of `ServerConfig`.
        read: makes its value of text, or of what TOML gives; raises ValueError with what was expected.
        help: for people.
        metavar: what stands for the value.
        many: whether it may be given several times: in the environment with commas, in the file as a list.
    """

    name: str
    field: str
    read: Callable[[Any], Any]
    help: str
    metavar: str = ""
    many: bool = False

    @property
    def is_switch(self) -> bool:
        """Whether its flag takes no value."""
        return self.read is _switch

    @property
    def flag(self) -> str:
        """On the command line."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """In the environment."""
        return PREFIX + self.key.upper()

    @property
    def key(self) -> str:
        """In the settings file."""
        return self.name.replace("-", "_")


OPTIONS: Final = (
    Option("model", "models", _path, "model to serve, or its head file; the first is the default", "M.onnx", many=True),
    Option("model-dir", "model_dir", _path, "serve the models of this folder, as they come and go", "DIR"),
    Option("pipeline", "pipeline", _text, "full (audio only) or verifier_only (features only); both", "MODE"),
    Option("host", "host", _text, f"address to listen on ({DEFAULT_HOST})", "HOST"),
    Option("port", "port", _whole, f"port; 0 takes a free one ({DEFAULT_PORT})", "PORT"),
    Option("threshold", "threshold", _number, "score at which models fire (each model's own)", "P"),
    Option("threads", "threads", _whole, "inference threads of each worker (1)", "N"),
    Option("workers", "workers", _whole, "processes that share the port (1)", "N"),
    Option("drain-s", "drain_s", _number, "seconds open streams may go on at the end (5)", "S"),
    Option("max-batch", "max_batch", _whole, "most streams judged in one run (32)", "N"),
    Option("max-streams", "max_streams", _limit, "most streams of a worker (as its measured speed allows)", "N"),
    Option("idle-timeout-s", "idle_timeout_s", _number, "end a stream that is silent for so long; 0 never (60)", "S"),
    Option("max-file-bytes", "max_file_bytes", _whole, "largest file to listen to (64 MiB)", "N"),
    Option("api-key-file", "api_key_file", _path, "file of API keys; see python -m serving.keys", "FILE"),
    Option("enable-tokens", "enable_tokens", _switch, "let callers with a key ask for short-lived tokens"),
    Option("token-ttl", "token_ttl", _number, "longest life of a token, seconds (3600)", "S"),
    Option("token-key-file", "token_key_file", _path, "secret that signs tokens (a new one at each start)", "FILE"),
    Option("rate-limit", "rate_limit", _limit, "most calls of a caller in a window (any number)", "N"),
    Option("rate-limit-audio-s", "rate_limit_audio_s", _limit_s, "most seconds of audio of a caller in a window", "S"),
    Option("rate-window", "rate_window", _number, "the window, seconds (60)", "S"),
    Option("ban-duration", "ban_duration", _number, "seconds for which an offender is kept out; 0 never (300)", "S"),
    Option("ip-allowlist", "ip_allowlist", _text, "network that may call (all)", "CIDR", many=True),
    Option("trusted-proxies", "trusted_proxies", _text, "network whose x-forwarded-for is believed", "CIDR", many=True),
    Option("open-health", "open_health", _switch, "answer health checks of any address without credentials"),
    Option("ssl-certfile", "ssl_certfile", _path, "the server's certificate, PEM", "FILE"),
    Option("ssl-keyfile", "ssl_keyfile", _path, "its key, PEM, without a password", "FILE"),
    Option("ssl-ca-certs", "ssl_ca_certs", _path, "ask clients for certificates of these authorities, PEM", "FILE"),
    Option("max-connections", "max_connections", _limit, "most streams open at a time (any number)", "N"),
    Option("max-connections-per-identity", "max_connections_per_identity", _limit, "most of one caller", "N"),
    Option("insecure", "insecure", _switch, "allow other machines in without TLS, or without credentials"),
    Option("capture-dir", "capture_dir", _path, "keep what was heard in this folder", "DIR"),
    Option("capture-max-mb", "capture_max_mb", _number, "size of that folder; the oldest go first (500)", "MB"),
    Option("capture-near-miss", "capture_near_miss", _switch, "keep near misses, too (they are)"),
    Option("metrics", "metrics", _text, "serve the page for Prometheus here", "HOST:PORT"),
    Option("log-format", "log_format", _text, "text or json (text)", "FORMAT"),
    Option("log-level", "log_level", _text, "DEBUG, INFO, WARNING or ERROR (INFO)", "LEVEL"),
    Option("audit-log", "audit_log", _path, "file of authentication events (the log)", "FILE"),
    Option("trace", "trace", _text, "send traces to this OTLP collector", "URL"),
    Option("wyoming", "wyoming", _text, "serve the Wyoming protocol here", "tcp://HOST:PORT"),
    Option("zeroconf", "zeroconf", _text, "announce the Wyoming service by this name", "NAME"),
)
