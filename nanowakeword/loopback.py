"""Whether an address is this machine's own: there, and only there, secrets and audio may travel in the clear."""

from __future__ import annotations

import ipaddress

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """True for what only this machine reaches; a name other than localhost may resolve to anything.

    Args:
        host: a name or an address; one of IPv6 with or without brackets and zone.
    """
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
