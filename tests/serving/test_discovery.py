"""The Wyoming service in the directory of the network; here the loopback interface is the network."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from nanowakeword.errors import ConfigError, DependencyError
from serving.discovery import Announcement

TYPE = "_wyoming._tcp.local."


async def look_up(name: str) -> AsyncServiceInfo | None:
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    try:
        return await zeroconf.async_get_service_info(TYPE, f"{name}.{TYPE}", timeout=2_000)
    finally:
        await zeroconf.async_close()


def test_a_service_is_found_as_long_as_it_is_there() -> None:
    async def announce() -> list[Any]:
        one = Announcement("kitchen", host="127.0.0.1", port=10_400)
        two = Announcement("kitchen", host="localhost", port=10_401)
        await one.start()
        await two.start()
        found = [await look_up("kitchen"), await look_up("kitchen-2")]
        await two.stop()
        await one.stop()
        await one.stop()  # harmless
        return [*found, await look_up("kitchen")]

    first, second, gone = asyncio.run(announce())
    assert (first.port, first.parsed_addresses()) == (10_400, ["127.0.0.1"])
    assert (second.port, second.parsed_addresses()) == (10_401, ["127.0.0.1"])
    assert gone is None


@pytest.mark.parametrize("name", ["x" * 70, ""])
def test_what_cannot_be_announced_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot announce .*--zeroconf"):
        asyncio.run(Announcement(name, host="127.0.0.1", port=1).start())


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    with pytest.raises(DependencyError, match=r"nanowakeword\[wyoming\]"):
        asyncio.run(Announcement("kitchen", host="127.0.0.1", port=1).start())
