"""Addresses as people write them in settings: ``host:port`` and ``tcp://host:port``."""

from __future__ import annotations

from urllib.parse import urlsplit

from nanowakeword.errors import ConfigError

__all__ = ["split_address", "split_uri"]


def split_address(address: str, *, what: str) -> tuple[str, int]:
    """Host and port of ``host:port``; an IPv6 host stands in brackets, and comes without them.

    Args:
        address: port 0 stands for any free one.
        what: name of the setting, for the message.

    Raises:
        ConfigError: it is no such address.
    """
    return _split(f"//{address}", scheme="", shown=address, what=what, expected="host:port, such as 127.0.0.1:9464")


def split_uri(uri: str, *, what: str) -> tuple[str, int]:
    """Host and port of ``tcp://host:port``; as `split_address`.

    Raises:
        ConfigError: it is no such address.
    """
    return _split(uri, scheme="tcp", shown=uri, what=what, expected="tcp://host:port, such as tcp://127.0.0.1:10400")


def _split(uri: str, *, scheme: str, shown: str, what: str, expected: str) -> tuple[str, int]:
    wrong = ConfigError(f"bad address in {what}", got=repr(shown), expected=expected)
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # a port that is no number or too large, brackets that do not match
        raise wrong from None
    rest = (parts.scheme, parts.username, parts.path, parts.query, parts.fragment)
    if parts.hostname is None or port is None or rest != (scheme, None, "", "", ""):
        raise wrong
    return parts.hostname, port
