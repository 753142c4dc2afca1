"""How much a caller may do in a window, and which addresses have done too much."""

from __future__ import annotations

import functools
import ipaddress
from typing import Final

from serving.caller import Caller
from serving.config import ServerConfig
from serving.ledger import Ledger

__all__ = ["Rates", "network_of"]

# So many wrong credentials, or calls above the rate, within a window, and the address is banned.
_OFFENCES: Final = 10


class Rates:
    """Debts and bans in the ledger. Used by one thread.

    Args:
        config: settings.
        ledger: what all workers share.
    """

    def __init__(self, config: ServerConfig, *, ledger: Ledger) -> None:
        self._calls = config.rate_limit
        self._audio_s = config.rate_limit_audio_s
        self._window_s = config.rate_window
        self._ban_s = config.ban_duration
        self._addresses = ledger.addresses
        self._identities = ledger.identities

    def take_call(self, caller: Caller) -> bool:
        """Charge a caller for a call; False where it is one too many."""
        return self._calls is None or self._spend(caller, "calls", cost_s=self._window_s / self._calls)

    def take_audio(self, caller: Caller, audio_s: float) -> bool:
        """Charge a caller for audio; False where it is too much."""
        return self._audio_s is None or self._spend(caller, "audio", cost_s=audio_s * self._window_s / self._audio_s)

    def is_banned(self, address: str) -> bool:
        """Whether an address is kept out for a while."""
        return self._ban_s > 0 and self._addresses.left_s(f"ban {network_of(address)}") > 0

    def offend(self, address: str) -> bool:
        """Count what an honest client does not do often; whether the address is banned from now on."""
        offence, cost_s = f"offence {network_of(address)}", self._window_s / _OFFENCES
        if not self._ban_s or self._addresses.spend(offence, cost_s=cost_s, most_s=self._window_s - cost_s):
            return False
        self._addresses.clear(offence)
        self._addresses.mark(f"ban {network_of(address)}", for_s=self._ban_s)
        return True

    def _spend(self, caller: Caller, what: str, *, cost_s: float) -> bool:
        """Charge an identity and its address; whether both can afford it."""
        most_s = self._window_s
        if caller.kind != "open" and not self._identities.spend(
            f"{what} {caller.identity}", cost_s=cost_s, most_s=most_s
        ):
            return False
        return self._addresses.spend(f"{what} {network_of(caller.address)}", cost_s=cost_s, most_s=most_s)


@functools.lru_cache(4096)
def network_of(address: str) -> str:
    """What one customer of a network has: an IPv4 address, or 64 bits of IPv6."""
    found = ipaddress.ip_address(address)
    return address if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
