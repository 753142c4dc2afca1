"""What counts as this machine."""

from __future__ import annotations

import pytest

from nanowakeword.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "::1%lo", "[::1%lo]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


# A zone is no part of an IPv4 address: what a resolver makes of one, nobody knows.
@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "192.0.2.1", "fe80::1%lo", "localhost.example", "127.0.0.1.example", "127.0.0.1%lo", "[::1"],  # noqa: S104
)
def test_everything_else(host: str) -> None:
    assert not is_loopback(host)
