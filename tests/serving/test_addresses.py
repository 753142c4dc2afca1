from __future__ import annotations

import re

import pytest

from nanowakeword.errors import ConfigError
from serving.addresses import split_address, split_uri


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65_535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),  # noqa: S104
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address, what="metrics") == split_uri(f"tcp://{address}", what="wyoming") == parts


BAD = "9464 :9464 127.0.0.1 127.0.0.1: 127.0.0.1:http 127.0.0.1:70000 127.0.0.1:-1 [::1:80 a:1/b a:1?b a:1#b a@b:1"


@pytest.mark.parametrize("address", ["", *BAD.split()])
def test_what_is_no_address_is_told(address: str) -> None:
    got = re.escape(repr(address))
    with pytest.raises(ConfigError, match=f"bad address in metrics; got {got}; expected host:port"):
        split_address(address, what="metrics")
    with pytest.raises(ConfigError, match=r"bad address in wyoming; .*expected tcp://host:port"):
        split_uri(f"tcp://{address}", what="wyoming")


@pytest.mark.parametrize("uri", ["127.0.0.1:10400", "unix:///run/a.sock", "stdio://", "http://127.0.0.1:10400"])
def test_wyoming_is_served_over_tcp_alone(uri: str) -> None:
    with pytest.raises(ConfigError, match="expected tcp://host:port"):
        split_uri(uri, what="wyoming")
