"""Where a call comes from: peers, proxies, and what strangers write into x-forwarded-for."""

from __future__ import annotations

import pytest

from nanowakeword.errors import ConfigError
from serving.allowlist import Allowlist
from serving.errors import ForbiddenError

PROXIES = ("10.0.0.0/8", "::1")


def find(peer: str, *forwarded: str, trusted: tuple[str, ...] = PROXIES) -> str:
    return str(Allowlist(trusted_proxies=trusted).find(peer, forwarded=forwarded))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:5000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:5000", "2001:db8::1"),
        ("ipv6:[2001:db8::1]:5000", "2001:db8::1"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:5000", "192.0.2.1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "fe80::1"),
    ],
)
def test_peers_as_grpc_writes_them(peer: str, address: str) -> None:
    assert find(peer) == address


@pytest.mark.parametrize("peer", ["", "unix:/run/socket", "ipv4:", "ipv4:x:1", "vsock:1:2"])
def test_a_connection_without_an_address_is_kept_out(peer: str) -> None:
    with pytest.raises(ForbiddenError):
        find(peer)


def test_strangers_are_not_believed() -> None:
    assert find("ipv4:192.0.2.1:5", "10.9.9.9") == "192.0.2.1"
    assert find("ipv4:10.0.0.1:5", "203.0.113.7", trusted=()) == "10.0.0.1"


def test_a_trusted_proxy_is_and_only_its_own_word() -> None:
    proxy = "ipv4:10.0.0.1:5"
    assert find(proxy) == "10.0.0.1"
    assert find(proxy, "203.0.113.7") == "203.0.113.7"
    assert find(proxy, "127.0.0.1, 203.0.113.7") == "203.0.113.7", "what the client wrote stands before"
    assert find(proxy, "127.0.0.1", "203.0.113.7") == "203.0.113.7"
    assert find(proxy, "rubbish, 203.0.113.7, 10.0.0.2") == "203.0.113.7", "a proxy before the proxy"
    assert find(proxy, ", ".join(["1.2.3.4"] * 10_000 + ["203.0.113.7"])) == "203.0.113.7"
    assert find(proxy, "203.0.113.7:4711") == "203.0.113.7"
    assert find("ipv6:%5B::1%5D:5", "[2001:db8::7]:4711") == "2001:db8::7"
    assert find(proxy, "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("told", ["", "unknown", "203.0.113.7,", "999.1.1.1", "-"])
def test_a_proxy_that_tells_no_address_lets_nobody_in(told: str) -> None:
    with pytest.raises(ForbiddenError):
        find("ipv4:10.0.0.1:5", told)


def test_who_may_call() -> None:
    allowlist = Allowlist(("192.0.2.0/24", "2001:db8::/32"))
    for peer, allowed in (
        ("ipv4:192.0.2.255:1", True),
        ("ipv4:192.0.3.0:1", False),
        ("ipv6:%5B2001:db8::9%5D:1", True),
        ("ipv6:%5B2001:db9::9%5D:1", False),
        ("ipv6:%5B::ffff:192.0.2.9%5D:1", True),
    ):
        assert allowlist.allows(allowlist.find(peer)) is allowed
    assert Allowlist().allows(allowlist.find("ipv4:203.0.113.1:1"))


@pytest.mark.parametrize("network", ["", "10.0.0.1/8", "10.0.0.0/33", "kitchen", "10.0.0.0-10.0.0.9"])
def test_bad_networks(network: str) -> None:
    with pytest.raises(ConfigError, match="bad network in ip_allowlist"):
        Allowlist((network,))
