"""Short-lived tokens: signed by PyJWT, checked by every worker, remembered by none."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import jwt

from serving.errors import ProtocolError

__all__ = ["Token", "Tokens"]

_ISSUER: Final = "nanowakeword"
_ALGORITHM: Final = "HS256"
_CLAIMS: Final = ("iss", "sub", "key", "jti", "iat", "exp")
# Ours have 350 bytes; a stranger's megabyte is not decoded.
_MAX_CHARACTERS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a token says.

    Attributes:
        text: the token, a secret.
        id: what to call it by.
        identity: who asked for it.
        key_id: the key it was asked for with; empty: a client certificate.
        expires_at_s: seconds since 1970-01-01 UTC.
    """

    text: str = field(repr=False)
    id: str
    identity: str
    key_id: str
    expires_at_s: float


class Tokens:
    """Makes and reads tokens.

    Args:
        secret: what the signing key is derived from; whoever has it can make tokens.
        ttl_s: longest life, seconds.
    """

    def __init__(self, secret: bytes, *, ttl_s: float) -> None:
        self._signing_key = hmac.digest(secret, b"nanowakeword token", hashlib.sha256)
        self._id_key = hmac.digest(secret, b"nanowakeword token id", hashlib.sha256)
        self._ttl_s = ttl_s

    def issue(self, *, identity: str, key_id: str, ttl_s: float = 0.0) -> Token:
        """A new token, which lives for whole seconds, rounded down, and 1 at least.

        Args:
            identity: who asks.
            key_id: the key that was shown; empty: a certificate.
            ttl_s: how long it should live; 0, or more than the longest life: that.

        Raises:
            ProtocolError: the life is negative or no number.
        """
        if not ttl_s >= 0 or math.isinf(ttl_s):
            raise ProtocolError("bad ttl_s", got=ttl_s, expected="seconds, 0 or more")
        now_s = time.time()
        expires_at_s = max(int(now_s + min(ttl_s or self._ttl_s, self._ttl_s)), int(now_s) + 1)
        token_id = f"{expires_at_s:x}.{secrets.token_hex(8)}"
        token_id = f"{token_id}.{self._seal(token_id, identity)}"
        claims = {
            "iss": _ISSUER,
            "sub": identity,
            "key": key_id,
            "jti": token_id,
            "iat": int(now_s),
            "exp": expires_at_s,
        }
        text = jwt.encode(claims, self._signing_key, algorithm=_ALGORITHM)
        return Token(text=text, id=token_id, identity=identity, key_id=key_id, expires_at_s=expires_at_s)

    def read(self, text: str, *, expired: bool = False) -> Token | None:
        """What a token says; None where it is none of ours, or has expired and ``expired`` does not allow that."""
        if len(text) > _MAX_CHARACTERS:
            return None
        try:
            claims = jwt.decode(
                text,
                self._signing_key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"require": list(_CLAIMS), "verify_exp": not expired},
            )
        except jwt.InvalidTokenError:
            return None
        if not isinstance(claims["key"], str):  # the library looks at those that it knows
            return None
        return Token(
            text=text,
            id=claims["jti"],
            identity=claims["sub"],
            key_id=claims["key"],
            expires_at_s=float(claims["exp"]),
        )

    def expiry_of(self, token_id: str, *, identity: str) -> float | None:
        """When the token of an id expires; None where ``identity`` was given no such token.

        An id is sealed with the identity, so that nothing has to be remembered to know whose it is.
        """
        body, _, seal = token_id.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(body, identity).encode()):
            return None
        return float(int(body.partition(".")[0], 16))

    def _seal(self, body: str, identity: str) -> str:
        return hmac.digest(self._id_key, f"{body} {identity}".encode(), hashlib.sha256).hex()[:16]
