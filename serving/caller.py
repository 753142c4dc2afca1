"""Who calls: what the guard found out and the rest of the server may know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Caller"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One caller, for the time of one call. Carries no secret.

    Attributes:
        identity: name of the API key, also of the one that a token was asked for with, or of the client certificate;
            ``anonymous`` where the server asks for no credentials. Limits are shared by all callers of one identity.
        kind: what proved it.
        address: IP address of the client, behind trusted proxies as they tell it.
        token_id: of a token, what to call it by where it must not be shown.
        expires_at_s: of a token, when it expires, seconds since 1970-01-01 UTC.
        key_id: of a key or a token, the beginning of the key's hash: which of the keys that had this name.
    """

    identity: str
    kind: Literal["open", "key", "token", "certificate"]
    address: str
    token_id: str | None = None
    expires_at_s: float | None = None
    key_id: str | None = field(default=None, repr=False)
