"""Where a call comes from, and whether that may call."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Sequence
from typing import Final

from nanowakeword.errors import ConfigError
from serving.errors import ForbiddenError

__all__ = ["Allowlist", "read_networks"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What a proxy adds stands at the end; nobody has more proxies than this.
_MAX_HOPS: Final = 16


class Allowlist:
    """Finds the address of a caller, and whether it may call.

    Args:
        allowed: networks (CIDR) that may call; empty: all.
        trusted_proxies: networks (CIDR) of proxies that are believed when they tell for whom they call.

    Raises:
        ConfigError: something is no network.
    """

    def __init__(self, allowed: Sequence[str] = (), *, trusted_proxies: Sequence[str] = ()) -> None:
        self._allowed = read_networks(allowed, what="ip_allowlist")
        self._proxies = read_networks(trusted_proxies, what="trusted_proxies")

    def find(self, peer: str, *, forwarded: Sequence[str] = ()) -> Address:
        """The address of a caller, whether it may call or not.

        Args:
            peer: the connection's other end, as gRPC writes it: ``ipv4:192.0.2.1:5000``, ``ipv6:%5B::1%5D:5000``.
            forwarded: values of ``x-forwarded-for``, which count only if the peer is a trusted proxy. The last address
                in them that is none of our proxies is the caller's; what stands before it anybody may have written.

        Raises:
            ForbiddenError: there is none: a proxy that we trust wrote something else.
        """
        address = _read_peer(peer)
        if not self._proxies or not _is_in(address, self._proxies):
            return address
        hops = ",".join(forwarded).split(",") if forwarded else []
        for hop in hops[: -_MAX_HOPS - 1 : -1]:
            address = _read_address(hop.strip())
            if not _is_in(address, self._proxies):
                break
        return address

    def allows(self, address: Address) -> bool:
        """Whether an address may call."""
        return not self._allowed or _is_in(address, self._allowed)


def read_networks(texts: Sequence[str], *, what: str) -> tuple[Network, ...]:
    """Networks as people write them; an address alone is a network of one.

    Raises:
        ConfigError: something is no network, or has bits beyond its mask.
    """
    networks = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            raise ConfigError(
                f"bad network in {what}", got=repr(text), expected="an address or CIDR, such as 192.168.1.0/24"
            ) from None
    return tuple(networks)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _read_peer(peer: str) -> Address:
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        raise ForbiddenError("a connection that comes from no address")
    return _read_address(urllib.parse.unquote(rest).rpartition(":")[0])


def _read_address(text: str) -> Address:
    """An address, with or without brackets, scope or port; an IPv4 address mapped into IPv6 is that IPv4 address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise ForbiddenError("a trusted proxy tells no address of its client") from None
    return getattr(address, "ipv4_mapped", None) or address
