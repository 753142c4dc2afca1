"""Announces the Wyoming service in the local network, so that Home Assistant finds it (zeroconf, mDNS)."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

from nanowakeword.errors import ConfigError, DependencyError

__all__ = ["Announcement"]

_TYPE: Final = "_wyoming._tcp.local."
# Of mDNS. Nothing is sent to it here: the system tells which of its addresses it would send from.
_GROUP: Final = "224.0.0.251"


class Announcement:
    """An entry in the network's directory, from `start` to `stop`.

    Args:
        name: of the service, as people see it.
        host: where it listens; for all addresses, the one that faces the network is told.
        port: where it listens.
    """

    def __init__(self, name: str, *, host: str, port: int) -> None:
        self._name = name
        self._host = host
        self._port = port
        self._zeroconf: Any = None

    async def start(self) -> None:
        """Announce; with a number after the name if another service has it.

        Raises:
            ConfigError: the name or the network cannot be used.
            DependencyError: the package zeroconf is not installed.
        """
        try:
            from zeroconf import Error
            from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
        except ImportError as error:
            raise DependencyError(
                "cannot announce the service",
                got=error,
                hint='Install what is missing: pip install "nanowakeword[wyoming]"',
            ) from error
        try:
            address = _reachable(self._host)
            service = AsyncServiceInfo(
                _TYPE,
                f"{self._name}.{_TYPE}",
                addresses=[ipaddress.ip_address(address).packed],
                port=self._port,
                server=f"{socket.gethostname()}.local.",
            )
            self._zeroconf = AsyncZeroconf(interfaces=[address])
            await (await self._zeroconf.async_register_service(service, allow_name_change=True))
        except (Error, OSError) as error:
            await self.stop()
            raise ConfigError(
                f"cannot announce {self._name!r}", got=error or type(error).__name__, hint="Start without --zeroconf"
            ) from None

    async def stop(self) -> None:
        """Take it back. Harmless when it is not there."""
        if self._zeroconf is not None:
            await self._zeroconf.async_close()
            self._zeroconf = None


def _reachable(host: str) -> str:
    """The address to tell for one that is listened on."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((_GROUP, 1))
            return str(probe.getsockname()[0])
    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
