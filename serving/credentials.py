"""What callers show, and whom it proves them to be: API keys, tokens, client certificates."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from serving.caller import Caller
from serving.config import ServerConfig
from serving.errors import ForbiddenError, OverloadError, ProtocolError, UnsupportedError
from serving.key_ring import KeyRing
from serving.ledger import Ledger
from serving.private import read_private
from serving.tokens import Token, Tokens

__all__ = ["Credentials"]

_BEARER: Final = "bearer "
# A revoked token stays revoked should the clock be set back by so much.
_CLOCK_SLACK_S: Final = 86_400.0


class Credentials:
    """Knows keys, tokens and certificates. Used by one thread.

    Args:
        config: settings.
        ledger: what all workers share; holds the revoked tokens.

    Raises:
        ConfigError: a file of keys cannot be used.
    """

    def __init__(self, config: ServerConfig, *, ledger: Ledger) -> None:
        self._required = config.asks_for_credentials
        self._has_keys = config.has_keys
        self._keys = KeyRing(config.api_keys, path=config.api_key_file)
        self._revoked = ledger.revoked
        self._tokens: Tokens | None = None
        if config.enable_tokens:
            path = config.token_key_file
            secret = ledger.secret if path is None else read_private(path, what="the key of tokens")
            self._tokens = Tokens(secret, ttl_s=config.token_ttl)

    def identify(self, context: Any, *, metadata: Iterable[tuple[str, Any]], address: str) -> Caller | None:
        """Who calls; None where credentials are missing, wrong or expired.

        A token counts before a key, and either before a certificate: the narrower one. A server with keys wants one of
        them even from a client with a certificate.

        Args:
            context: of the call.
            metadata: of the call.
            address: where it comes from.
        """
        if not self._required:
            return Caller(identity="anonymous", kind="open", address=address)
        shown: dict[str, list[str]] = {"x-api-key": [], "authorization": []}
        for name, value in metadata:
            if name in shown:
                shown[name].append(value)
        # Two of a kind: whoever checked one of them on the way here may have checked the other one.
        if any(len(values) > 1 for values in shown.values()):
            return None
        if shown["authorization"] and self._tokens is not None:
            return self._by_token(self._tokens, shown["authorization"][0], address=address)
        if self._has_keys:
            key = self._keys.find(shown["x-api-key"][0]) if shown["x-api-key"] else None
            return None if key is None else Caller(identity=key.name, kind="key", address=address, key_id=key.id)
        return _by_certificate(context, address=address)

    def hold(self, caller: Caller) -> bool:
        """Whether what a caller showed would still admit it."""
        if caller.expires_at_s is not None and caller.expires_at_s <= time.time():
            return False
        if caller.token_id is not None and self._revoked.left_s(caller.token_id):
            return False
        return not caller.key_id or self._keys.holds(caller.key_id)

    def issue(self, caller: Caller, *, ttl_s: float) -> Token:
        """A token for a caller.

        Raises:
            ForbiddenError: the caller itself came with a token, or with nothing.
            ProtocolError: the life is no number of seconds.
            UnsupportedError: this server issues none.
        """
        if self._tokens is None:
            raise UnsupportedError("this server issues no tokens")
        if caller.kind not in ("key", "certificate"):
            raise ForbiddenError("only an API key or a client certificate can ask for a token")
        return self._tokens.issue(identity=caller.identity, key_id=caller.key_id or "", ttl_s=ttl_s)

    def revoke(self, caller: Caller, *, token: str | None, token_id: str | None) -> str:
        """End a token that the caller holds or asked for; its id.

        Raises:
            OverloadError: so many were revoked that this one cannot be remembered.
            ProtocolError: there is no such token, or it is of others and only its id is known.
            UnsupportedError: this server issues none.
        """
        if self._tokens is None:
            raise UnsupportedError("this server issues no tokens")
        known = None if token is None else self._tokens.read(token, expired=True)
        expires_at_s: float | None = None
        if known is not None:
            token_id, expires_at_s = known.id, known.expires_at_s
        elif token is None and token_id is not None:
            # Its own one a caller may name whoever asked for it; other ones only who asked for them.
            own = token_id == caller.token_id
            expires_at_s = caller.expires_at_s if own else self._tokens.expiry_of(token_id, identity=caller.identity)
        if token_id is None or expires_at_s is None:
            raise ProtocolError("no token of this caller", expected="a token, or the id of one that it asked for")
        left_s = expires_at_s - time.time()
        for_s = left_s + _CLOCK_SLACK_S
        # To forget another one would let it in again.
        if for_s > 0 and not self._revoked.mark(token_id, for_s=for_s, evict=False):
            raise OverloadError("so many tokens were revoked that this one cannot be remembered")
        return token_id

    def _by_token(self, tokens: Tokens, header: str, *, address: str) -> Caller | None:
        if not header.lower().startswith(_BEARER):
            return None
        token = tokens.read(header[len(_BEARER) :].strip())
        if token is None:
            return None
        caller = Caller(
            identity=token.identity,
            kind="token",
            address=address,
            token_id=token.id,
            expires_at_s=token.expires_at_s,
            key_id=token.key_id or None,
        )
        return caller if self.hold(caller) else None


def _by_certificate(context: Any, *, address: str) -> Caller | None:
    """The name in a certificate; TLS has checked it, and asked for it, before the call began."""
    facts = context.auth_context()
    for fact in ("x509_common_name", "x509_subject_alternative_name"):
        for value in facts.get(fact, ()):
            name = value.decode("utf-8", "replace")[:128]
            if name.isprintable() and name:
                return Caller(identity=name, kind="certificate", address=address)
    return None
