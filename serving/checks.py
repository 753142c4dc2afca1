"""Checks the server's settings whole, so that all that is wrong is told at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from nanowakeword.errors import ConfigError
from nanowakeword.loopback import is_loopback
from serving.addresses import split_address, split_uri
from serving.allowlist import read_networks
from serving.counts import MAX_WORKERS
from serving.key_ring import KeyRing
from serving.private import read_private

if TYPE_CHECKING:
    from serving.config import ServerConfig

__all__ = ["SettingsError", "check"]

_MIN_SECRET_BYTES: Final = 32
_PIPELINES: Final = ("full", "verifier_only")
_LOG_FORMATS: Final = ("text", "json")
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_DAY_S: Final = 86_400.0


class SettingsError(ConfigError):
    """One or more settings are wrong.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        self.problems = tuple(problems)
        told = [str(problem) for problem in problems]
        super().__init__(told[0] if len(told) == 1 else f"{len(told)} settings are wrong:\n  " + "\n  ".join(told))


def check(config: ServerConfig) -> None:
    """Check settings.

    Raises:
        SettingsError: values are wrong, files cannot be read, or the server would be open by mistake.
    """
    problems = [*_ranges(config), *_choices(config), *_exposure(config), *_combinations(config), *_files(config)]
    if problems:
        raise SettingsError(problems)


def _at_least(least: float) -> tuple[Callable[[float], bool], str]:
    return lambda value: least <= value < math.inf, f"{least:g} or more"


def _between(least: float, most: float) -> tuple[Callable[[float], bool], str]:
    return lambda value: least <= value <= most, f"{least:g} to {most:g}"


_ABOVE_0: Final[tuple[Callable[[float], bool], str]] = (lambda value: 0 < value < math.inf, "above 0")
# None is allowed wherever it is a default.
_RANGES: Final[dict[str, tuple[Callable[[float], bool], str]]] = {
    "port": _between(0, 65_535),
    "threshold": (lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "threads": _between(1, 256),
    "workers": _between(1, MAX_WORKERS),
    "drain_s": _at_least(0),
    "max_batch": _between(1, 1_024),
    "max_streams": _at_least(1),
    "idle_timeout_s": _at_least(0),
    "max_file_bytes": _at_least(1),
    "token_ttl": _between(1, 30 * _DAY_S),
    "rate_limit": _at_least(1),
    "rate_limit_audio_s": _ABOVE_0,
    "rate_window": _ABOVE_0,
    "ban_duration": _at_least(0),
    "max_connections": _at_least(1),
    "max_connections_per_identity": _at_least(1),
    "capture_max_mb": _ABOVE_0,
}
_CHOICES: Final = {"pipeline": _PIPELINES, "log_format": _LOG_FORMATS, "log_level": _LOG_LEVELS}


def _ranges(config: ServerConfig) -> Iterator[ConfigError]:
    for name, (fits, expected) in _RANGES.items():
        value = getattr(config, name)
        if value is not None and not fits(value):
            yield ConfigError(f"bad {name}", got=value, expected=expected)


def _choices(config: ServerConfig) -> Iterator[ConfigError]:
    for name, choices in _CHOICES.items():
        value = getattr(config, name)
        if value is not None and value not in choices:
            yield ConfigError(f"bad {name}", got=repr(value), expected=" or ".join(choices))


def _exposure(config: ServerConfig) -> Iterator[ConfigError]:
    """What other machines could reach without being asked who they are."""
    if not is_loopback(config.host):
        lacking = [] if config.ssl_certfile else ["TLS (ssl_certfile, ssl_keyfile)"]
        lacking += [] if config.asks_for_credentials else ["credentials (api_key_file, or ssl_ca_certs)"]
        if lacking and not (config.insecure and config.host):
            yield ConfigError(
                "refusing to listen where other machines can connect",
                got=f"host {config.host!r} without {' and without '.join(lacking)}",
                expected="these, or a loopback address such as 127.0.0.1 or ::1",
                hint="Whoever means it adds --insecure",
            )
    yield from _open_door(config, "metrics", split_address)
    yield from _open_door(config, "wyoming", split_uri)


def _open_door(config: ServerConfig, name: str, split: Callable[..., tuple[str, int]]) -> Iterator[ConfigError]:
    """What answers whoever connects."""
    address = getattr(config, name)
    if address is None:
        return
    try:
        host, _ = split(address, what=name)
    except ConfigError as error:
        yield error
        return
    if not is_loopback(host) and not config.insecure:
        yield ConfigError(
            f"refusing to serve {name} where other machines can connect",
            got=f"host {host!r}",
            expected="a loopback address",
            hint="It answers whoever connects. Whoever means it adds --insecure",
        )


def _combinations(config: ServerConfig) -> Iterator[ConfigError]:
    if not config.models and config.model_dir is None:
        yield ConfigError("no model to serve", hint="Name at least one: --model M.onnx")
    if (config.ssl_certfile is None) != (config.ssl_keyfile is None):
        lacking = "ssl_keyfile" if config.ssl_keyfile is None else "ssl_certfile"
        yield ConfigError(f"{lacking} is missing", expected="ssl_certfile and ssl_keyfile together")
    if config.ssl_ca_certs is not None and config.ssl_certfile is None and config.ssl_keyfile is None:
        yield ConfigError("ssl_ca_certs without TLS", expected="ssl_certfile and ssl_keyfile with it")
    if config.enable_tokens and not config.asks_for_credentials:
        yield ConfigError(
            "tokens without anything to ask for them with", expected="api_key_file or ssl_ca_certs with enable_tokens"
        )
    if config.token_key_file is not None and not config.enable_tokens:
        yield ConfigError("token_key_file without tokens", expected="enable_tokens with it")
    if config.zeroconf is not None and config.wyoming is None:
        yield ConfigError("zeroconf without anything to announce", expected="wyoming with it")


def _files(config: ServerConfig) -> Iterator[ConfigError]:
    """What the server would otherwise find out after its models were loaded."""
    for read in (_read_networks, _read_keys, _read_token_key, _read_tls):
        try:
            read(config)
        except ConfigError as error:
            yield error


def _read_networks(config: ServerConfig) -> None:
    for name in ("ip_allowlist", "trusted_proxies"):
        read_networks(getattr(config, name), what=name)


def _read_keys(config: ServerConfig) -> None:
    KeyRing(config.api_keys, path=config.api_key_file)


def _read_token_key(config: ServerConfig) -> None:
    path = config.token_key_file
    if path is not None and len(secret := read_private(path, what="the key of tokens")) < _MIN_SECRET_BYTES:
        raise ConfigError(
            f"the key of tokens in {path} is too short",
            got=f"{len(secret)} bytes",
            expected=f"at least {_MIN_SECRET_BYTES} random ones",
            hint=f"Make one: (umask 077; openssl rand -hex 32 > {path})",
        )


def _read_tls(config: ServerConfig) -> None:
    if config.tls is not None:
        config.tls.read()
